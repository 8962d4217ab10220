//! The log, the votes and the state on disk, in a store that syncs what must not be lost before it says so.
//!
//! The state is written with every entry and synced with the next entry of the log: what a crash takes back is applied
//! again from the log.

use std::fmt::Debug;
use std::io::{self, Cursor};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage, RaftStateMachine, Snapshot};
use openraft::{
    Entry, EntryPayload, LogId, OptionalSend, RaftLogReader, RaftSnapshotBuilder, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership, Vote,
};
use pgaf_core::monitors::Monitors;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::types::{Outcome, Types};
use crate::config::Member;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";
const STATE: &str = "state";
const SNAPSHOT: &str = "snapshot";

type Stored<T> = Result<T, StorageError<u64>>;

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is none.
    #[error(
        "\"{0}\" is missing: without the votes and the log in it this monitor could contradict itself. Restore it, or remove this monitor and create it again"
    )]
    Missing(PathBuf),
    /// It is there and shall be made.
    #[error("\"{0}\" is there already")]
    Present(PathBuf),
    /// It cannot be read, or is damaged.
    #[error(
        "\"{path}\" cannot be used: {reason}. It has the votes and the log of this monitor: restore it, or remove this monitor and create it again"
    )]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What the store said.
        reason: String,
    },
}

/// What was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, Member>,
    /// The state of the monitors.
    pub(crate) monitors: Monitors,
}

impl Applied {
    /// All monitors, those that do not vote yet included.
    pub(crate) fn members(&self) -> Vec<(u64, Member)> {
        self.membership.nodes().map(|(id, member)| (*id, member.clone())).collect()
    }

    /// It has a vote.
    pub(crate) fn is_voter(&self, id: u64) -> bool {
        self.membership.voter_ids().any(|voter| voter == id)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredSnapshot {
    meta: SnapshotMeta<u64, Member>,
    data: Applied,
}

/// The store of the log.
#[derive(Clone)]
pub(crate) struct LogStore {
    database: Arc<Database>,
}

/// The store of the state; everybody may watch it.
pub(crate) struct StateStore {
    database: Arc<Database>,
    applied: watch::Sender<Applied>,
}

/// Makes an empty store, which must not be there.
///
/// # Errors
/// It is there, or cannot be made.
pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Err(StoreError::Present(path.to_owned()));
    }
    let made = Database::create(path).map_err(|error| error.to_string()).and_then(|database| {
        let transaction = database.begin_write().map_err(|error| error.to_string())?;
        transaction.open_table(LOG).map_err(|error| error.to_string())?;
        transaction.open_table(META).map_err(|error| error.to_string())?;
        transaction.commit().map_err(|error| error.to_string())
    });
    made.map_err(|reason| StoreError::Unusable { path: path.to_owned(), reason })
}

/// Opens a store that is there.
///
/// # Errors
/// It is not, or cannot be used.
pub(crate) fn open(path: &Path) -> Result<(LogStore, StateStore), StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let unusable = |reason: String| StoreError::Unusable { path: path.to_owned(), reason };
    let database = Arc::new(Database::open(path).map_err(|error| unusable(error.to_string()))?);
    let applied: Option<Applied> = get(&database, STATE).map_err(|error| unusable(error.to_string()))?;
    let (applied, _) = watch::channel(applied.unwrap_or_default());
    Ok((LogStore { database: Arc::clone(&database) }, StateStore { database, applied }))
}

impl LogStore {
    /// Changes the store; it is synced when this returns.
    fn change(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        change(&self.database, Durability::Immediate, work)
    }
}

fn change(
    database: &Database,
    durability: Durability,
    work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    work(&transaction)?;
    Ok(transaction.commit()?)
}

fn corrupted(error: impl std::fmt::Display) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(corrupted)
}

fn get<T: DeserializeOwned>(database: &Database, key: &str) -> Result<Option<T>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(META)?;
    let Some(value) = table.get(key)? else { return Ok(None) };
    serde_json::from_slice(value.value()).map(Some).map_err(corrupted)
}

fn put<T: Serialize>(transaction: &redb::WriteTransaction, key: &str, value: &T) -> Result<(), redb::Error> {
    let value = encode(value)?;
    transaction.open_table(META)?.insert(key, value.as_slice())?;
    Ok(())
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry<Types>>> {
        let read = || -> Result<Vec<Entry<Types>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(LOG)?;
            let mut entries = Vec::new();
            for row in table.range(range.clone())? {
                let (_, value) = row?;
                entries.push(serde_json::from_slice(value.value()).map_err(corrupted)?);
            }
            Ok(entries)
        };
        read().map_err(|error| StorageIOError::read_logs(&error).into())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let read = || -> Result<LogState<Types>, redb::Error> {
            let purged: Option<LogId<u64>> = get(&self.database, PURGED)?;
            let table = self.database.begin_read()?.open_table(LOG)?;
            let last = match table.last()? {
                Some((_, value)) => {
                    let entry: Entry<Types> = serde_json::from_slice(value.value()).map_err(corrupted)?;
                    Some(entry.log_id)
                }
                None => purged,
            };
            Ok(LogState { last_purged_log_id: purged, last_log_id: last })
        };
        read().map_err(|error| StorageIOError::read_logs(&error).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Stored<()> {
        let saved = self.change(|transaction| put(transaction, VOTE, vote));
        saved.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<u64>>> {
        get(&self.database, VOTE).map_err(|error| StorageIOError::read_vote(&error).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Stored<()> {
        // A hint: losing it costs an entry of the log that is applied later.
        let saved =
            change(&self.database, Durability::None, |transaction| put(transaction, COMMITTED, &committed));
        saved.map_err(|error| StorageIOError::write(&error).into())
    }

    async fn read_committed(&mut self) -> Stored<Option<LogId<u64>>> {
        let read: Result<Option<Option<LogId<u64>>>, _> = get(&self.database, COMMITTED);
        read.map(Option::flatten).map_err(|error| StorageIOError::read(&error).into())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let appended = self.change(|transaction| {
            let mut table = transaction.open_table(LOG)?;
            for entry in entries {
                table.insert(entry.log_id.index, encode(&entry)?.as_slice())?;
            }
            Ok(())
        });
        match appended {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(io::Error::other(error.to_string())));
                Err(StorageIOError::write_logs(&error).into())
            }
        }
    }

    async fn truncate(&mut self, since: LogId<u64>) -> Stored<()> {
        let truncated = self.change(|transaction| {
            transaction.open_table(LOG)?.retain_in(since.index.., |_, _| false)?;
            Ok(())
        });
        truncated.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, up_to: LogId<u64>) -> Stored<()> {
        let purged = self.change(|transaction| {
            put(transaction, PURGED, &up_to)?;
            transaction.open_table(LOG)?.retain_in(..=up_to.index, |_, _| false)?;
            Ok(())
        });
        purged.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}

impl StateStore {
    /// What has been applied, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<Applied> {
        self.applied.subscribe()
    }

    fn snapshot_of(applied: &Applied) -> StoredSnapshot {
        let index = applied.last.map_or(0, |last| last.index);
        let term = applied.last.map_or(0, |last| last.leader_id.term);
        StoredSnapshot {
            meta: SnapshotMeta {
                last_log_id: applied.last,
                last_membership: applied.membership.clone(),
                snapshot_id: format!("{term}-{index}"),
            },
            data: applied.clone(),
        }
    }
}

fn loaded(stored: StoredSnapshot) -> Result<Snapshot<Types>, redb::Error> {
    Ok(Snapshot { meta: stored.meta, snapshot: Box::new(Cursor::new(encode(&stored.data)?)) })
}

/// Makes snapshots.
pub(crate) struct SnapshotBuilder {
    database: Arc<Database>,
    applied: Applied,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let stored = StateStore::snapshot_of(&self.applied);
        let signature = stored.meta.signature();
        let saved =
            change(&self.database, Durability::Immediate, |transaction| put(transaction, SNAPSHOT, &stored));
        let built = saved.and_then(|()| loaded(stored));
        built.map_err(|error| StorageIOError::write_snapshot(Some(signature), &error).into())
    }
}

impl RaftStateMachine<Types> for StateStore {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Stored<(Option<LogId<u64>>, StoredMembership<u64, Member>)> {
        let applied = self.applied.borrow();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<Outcome>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied.borrow().clone();
        let mut outcomes = Vec::new();
        for entry in entries {
            applied.last = Some(entry.log_id);
            outcomes.push(match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(entry) => Some(applied.monitors.apply(&entry)),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    None
                }
            });
        }
        let saved = change(&self.database, Durability::None, |transaction| put(transaction, STATE, &applied));
        saved.map_err(|error| StorageIOError::write_state_machine(&error))?;
        self.applied.send_replace(applied);
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { database: Arc::clone(&self.database), applied: self.applied.borrow().clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, Member>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        let install = || -> Result<Applied, redb::Error> {
            let mut data: Applied = serde_json::from_slice(snapshot.get_ref()).map_err(corrupted)?;
            data.last = meta.last_log_id;
            data.membership = meta.last_membership.clone();
            let stored = StoredSnapshot { meta: meta.clone(), data };
            change(&self.database, Durability::Immediate, |transaction| {
                put(transaction, SNAPSHOT, &stored)?;
                put(transaction, STATE, &stored.data)
            })?;
            Ok(stored.data)
        };
        let applied =
            install().map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error))?;
        self.applied.send_replace(applied);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        let read = get::<StoredSnapshot>(&self.database, SNAPSHOT);
        let read = read.and_then(|stored| stored.map(loaded).transpose());
        read.map_err(|error| StorageIOError::read_snapshot(None, &error).into())
    }
}

#[cfg(test)]
mod tests {
    use openraft::testing::{StoreBuilder, Suite};

    use super::*;

    struct Builder;

    impl StoreBuilder<Types, LogStore, StateStore, tempfile::TempDir> for Builder {
        async fn build(&self) -> Stored<(tempfile::TempDir, LogStore, StateStore)> {
            let failed =
                |error: &dyn std::error::Error| StorageIOError::write(&io::Error::other(error.to_string()));
            let directory = tempfile::tempdir().map_err(|error| failed(&error))?;
            let path = directory.path().join("store");
            create(&path).map_err(|error| failed(&error))?;
            let (log, state) = open(&path).map_err(|error| failed(&error))?;
            Ok((directory, log, state))
        }
    }

    #[test]
    fn the_store_is_what_openraft_needs() {
        if let Err(error) = Suite::test_all(Builder) {
            panic!("{error}");
        }
    }

    #[test]
    fn a_store_that_is_missing_or_damaged_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store");
        let reason = |path: &Path| open(path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(reason(&path).contains("is missing"), "{}", reason(&path));
        create(&path).expect("made");
        assert!(create(&path).is_err(), "it is there already");
        assert_eq!(reason(&path), "");
        std::fs::write(&path, vec![7; 8192]).expect("damaged");
        assert!(reason(&path).contains("cannot be used"), "{}", reason(&path));
    }
}
