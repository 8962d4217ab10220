//! The lines that every deciding function has in common.

use pgaf_core::monitor::{self, Event};
use pgaf_core::{Group, GroupId};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::SpiClient;
use pgrx::{Spi, pg_sys};

use crate::catalog::{load, store};
use crate::clock;
use crate::error::Error;
use crate::version;

/// What a decision has done.
pub(crate) struct Transition {
    /// The group as it is written now.
    pub(crate) group: Group,
    /// Something was written.
    pub(crate) is_changed: bool,
}

/// Runs the body of a function: connects to SPI, checks that deciding is possible, turns errors into Postgres's.
pub(crate) fn run<T>(body: impl FnOnce(&mut SpiClient<'_>) -> Result<T, Error>) -> Result<T, ErrorReport> {
    let result = Spi::connect_mut(|client| {
        check_ready()?;
        body(client)
    });
    result.map_err(ErrorReport::from)
}

/// Loads the group, decides, writes and notifies. The caller has locked the group and recorded what happened.
pub(crate) fn load_and_decide(
    client: &mut SpiClient<'_>,
    formation: &str,
    group: GroupId,
    event: &Event,
) -> Result<Transition, Error> {
    let before = load::group(client, formation, group)?;
    decide(client, &before, &before, event)
}

/// Decides, writes and notifies, on a group that was loaded under its lock.
///
/// What nodes hear anew is what differs from `told`, the group without what has just been recorded.
pub(crate) fn decide(
    client: &mut SpiClient<'_>,
    told: &Group,
    before: &Group,
    event: &Event,
) -> Result<Transition, Error> {
    let decision = monitor::decide(before, event)?;
    let is_changed = store::decision(client, told, before, &decision)?;
    if is_changed {
        // SAFETY: sets a flag of this transaction. A decision is on disk before anybody acts on it.
        unsafe { pg_sys::ForceSyncCommit() };
    }
    Ok(Transition { group: decision.group, is_changed })
}

/// Decides for the other groups as well when a decision about one of them has changed a setting of the formation, which
/// the caller has locked.
pub(crate) fn follow_setting(client: &mut SpiClient<'_>, before: &Group, after: &Group) -> Result<(), Error> {
    if before.number_sync_standbys == after.number_sync_standbys {
        return Ok(());
    }
    for group in load::groups(client, &after.formation)?.into_iter().filter(|group| *group != after.id) {
        load_and_decide(client, &after.formation, group, &Event::Tick)?;
    }
    Ok(())
}

/// Deciding needs the preloaded library, tables of its own version, and rows as they are after the lock.
fn check_ready() -> Result<(), Error> {
    clock::started().ok_or(Error::NotPreloaded)?;
    // SAFETY: the isolation level of this transaction, which is set by now.
    match u32::try_from(unsafe { pg_sys::XactIsoLevel }) {
        Ok(pg_sys::XACT_SERIALIZABLE) => return Err(Error::Isolation("SERIALIZABLE")),
        Ok(pg_sys::XACT_REPEATABLE_READ) => return Err(Error::Isolation("REPEATABLE READ")),
        _ => {}
    }
    version::check_once()
}
