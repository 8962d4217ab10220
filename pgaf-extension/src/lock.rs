//! The locks of formations and groups, held to the end of the transaction.
//!
//! One order for everybody, so that nobody waits in a circle: first the formation, then one group. Whoever decides
//! about one group shares the formation; whoever changes the formation as a whole has it alone and needs no group.

use pgaf_core::GroupId;
use pgrx::pg_sys;

/// Advisory locks of SQL have class 1 or 2; these are of our own and cannot meet a user's.
const CLASS_FORMATION: u16 = 0x7066;
const CLASS_GROUP: u16 = 0x7067;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until it is free, or until `lock_timeout`.
    Blocking,
    /// Not at all.
    Never,
}

/// Locks one group, to decide about it. False when somebody else has it and `wait` says not to wait.
pub(crate) fn group(formation: &str, group: GroupId, wait: Wait) -> bool {
    let formation = key(formation);
    let group = u32::from_ne_bytes(group.0.to_ne_bytes());
    acquire(tag(CLASS_FORMATION, formation, 0), pg_sys::ShareLock, wait)
        && acquire(tag(CLASS_GROUP, formation, group), pg_sys::ExclusiveLock, wait)
}

/// Locks a formation with all its groups.
pub(crate) fn formation(formation: &str) {
    acquire(tag(CLASS_FORMATION, key(formation), 0), pg_sys::ExclusiveLock, Wait::Blocking);
}

/// Somebody is dropping, renaming or copying this database and waits for its sessions to leave.
pub(crate) fn is_database_wanted(database: pg_sys::Oid) -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: 0,
        locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
        locktag_field3: database.to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    !acquire(tag, pg_sys::RowExclusiveLock, Wait::Never)
}

fn tag(class: u16, formation: u32, group: u32) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: set once, when the backend connected.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: formation,
        locktag_field3: group,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

fn acquire(tag: pg_sys::LOCKTAG, mode: u32, wait: Wait) -> bool {
    let mode = mode as pg_sys::LOCKMODE;
    // SAFETY: the tag lives for the call; false: released at the end of the transaction.
    let result = unsafe { pg_sys::LockAcquire(&tag, mode, false, wait == Wait::Never) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// FNV-1a. Two formations with the same key share a lock, which costs time and nothing else.
fn key(formation: &str) -> u32 {
    formation.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
