//! Questions to another node, as the replication role.

use std::time::Duration;

use pgaf_core::lsn::{Lsn, Timeline, TimelineHistory};
use pgaf_core::message::Peer;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::client::{self, ConnectionString, Session, within};
use crate::postgres::configuration::REPLICATION_ROLE;
use crate::postgres::data::{history, tablespaces::Tablespaces};
use crate::postgres::server::{InstanceConfig, PostgresError};

/// What another node says of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) system_identifier: u64,
    pub(crate) is_in_recovery: bool,
    pub(crate) history: TimelineHistory,
    /// How far it is written, on a primary; replayed, on a standby.
    pub(crate) end: Lsn,
    /// The timeline of its latest checkpoint.
    pub(crate) checkpoint_timeline: Timeline,
}

/// A session with another node.
pub(crate) struct RemoteSession {
    session: Session,
    /// The database it is in.
    pub(crate) dbname: String,
    peer: String,
    deadline: Duration,
}

/// A standby is on the newest timeline of which it has a segment with the last byte that it has replayed.
const QUESTION: &str = "\
SELECT s.system_identifier::text, r,
       CASE WHEN r THEN greatest(c.timeline_id, e.min_recovery_end_timeline,
                (SELECT max(('x' || left(name, 8))::bit(32)::int) FROM pg_ls_dir('pg_wal', true, false) AS name
                 WHERE length(name) = 24 AND right(name, 16) = upper(
                     lpad(to_hex(div(before, 4294967296)::bigint), 8, '0')
                     || lpad(to_hex(div(mod(before, 4294967296), i.bytes_per_wal_segment)::bigint), 8, '0'))))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text,
       c.timeline_id
FROM pg_is_in_recovery() r, pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() e,
     pg_control_init() i, (SELECT coalesce(pg_last_wal_replay_lsn() - '0/1', 0) AS before) b";

impl RemoteSession {
    /// Connects to the first database that is there.
    pub(crate) async fn open(
        config: &InstanceConfig,
        peer: &Peer,
        deadline: Duration,
    ) -> Result<Self, PostgresError> {
        let mut last = None;
        for dbname in ["postgres", config.dbname.as_str(), "template1"] {
            let mut target = ConnectionString::new(peer.host.clone(), peer.port);
            target.user = Some(REPLICATION_ROLE.to_owned());
            target.password = config.replication_password.clone();
            target.dbname = Some(dbname.to_owned());
            target.ssl = config.client_ssl.clone();
            match client::connect(&target, deadline).await {
                Ok(session) => {
                    return Ok(Self {
                        session,
                        dbname: dbname.to_owned(),
                        peer: format!("{}:{}", peer.host, peer.port),
                        deadline,
                    });
                }
                Err(error) if error.sqlstate() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                    last = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(last
            .map_or_else(|| PostgresError::Refused("there is no database".to_owned()), PostgresError::from))
    }

    /// Asks for its log and history.
    pub(crate) async fn ask(&self) -> Result<Source, PostgresError> {
        let what = format!("node {}", self.peer);
        let question = self.session.client.query_one(QUESTION, &[]);
        let row = within(self.deadline, &what, question)
            .await?
            .map_err(PostgresError::sql("ask another node for its log"))?;
        let malformed = || PostgresError::Refused(format!("unexpected response from {what}"));
        let timeline = |index: usize| u32::try_from(row.get::<_, i32>(index)).map(Timeline);
        let current = timeline(2).map_err(|_| malformed())?;
        let end: Option<&str> = row.get(3);
        Ok(Source {
            system_identifier: row.get::<_, &str>(0).parse::<i64>().map_err(|_| malformed())?.cast_unsigned(),
            is_in_recovery: row.get(1),
            history: self.history(current).await?,
            end: end.map_or(Ok(Lsn::ZERO), str::parse).map_err(|_| malformed())?,
            checkpoint_timeline: timeline(4).map_err(|_| malformed())?,
        })
    }

    async fn history(&self, timeline: Timeline) -> Result<TimelineHistory, PostgresError> {
        if timeline == Timeline::FIRST {
            return Ok(TimelineHistory::first());
        }
        let what = format!("node {}", self.peer);
        let path = format!("pg_wal/{}", history::file_name(timeline));
        let parameters: [&(dyn ToSql + Sync); 1] = [&path];
        let question = self
            .session
            .client
            .query_one("SELECT convert_from(pg_read_binary_file($1::text), 'UTF8')", &parameters);
        let row = within(self.deadline, &what, question)
            .await?
            .map_err(PostgresError::sql("read the timeline history of another node"))?;
        TimelineHistory::parse(timeline, row.get(0))
            .map_err(|error| PostgresError::Refused(format!("{what}: {error}")))
    }

    /// Its logical slots that standbys shall have, too; asked of servers that know such slots.
    pub(crate) async fn failover_slots(&self) -> Result<Vec<String>, PostgresError> {
        let what = format!("node {}", self.peer);
        let question = self
            .session
            .client
            .query("SELECT slot_name::text FROM pg_replication_slots WHERE failover AND NOT temporary", &[]);
        let rows = within(self.deadline, &what, question)
            .await?
            .map_err(PostgresError::sql("list the logical slots of another node"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Its tablespaces outside of its data directory.
    pub(crate) async fn tablespaces(&self) -> Result<Tablespaces, PostgresError> {
        let what = format!("node {}", self.peer);
        let question = self.session.client.query(
            "SELECT oid::bigint, pg_tablespace_location(oid) FROM pg_tablespace \
             WHERE pg_tablespace_location(oid) LIKE '/%'",
            &[],
        );
        let rows = within(self.deadline, &what, question)
            .await?
            .map_err(PostgresError::sql("list the tablespaces of another node"))?;
        let space = |row: &tokio_postgres::Row| {
            Some((u32::try_from(row.get::<_, i64>(0)).ok()?, row.get::<_, String>(1).into()))
        };
        Ok(rows.iter().filter_map(space).collect())
    }

    /// It has the segment of WAL with this number, on any timeline.
    pub(crate) async fn has_segment(&self, segment: &str) -> Result<bool, PostgresError> {
        let what = format!("node {}", self.peer);
        let parameters: [&(dyn ToSql + Sync); 1] = [&segment];
        let question = self.session.client.query_one(
            "SELECT count(*) > 0 FROM pg_ls_dir('pg_wal', true, false) AS name \
             WHERE length(name) = 24 AND right(name, 16) = $1::text",
            &parameters,
        );
        let row = within(self.deadline, &what, question)
            .await?
            .map_err(PostgresError::sql("list the WAL of another node"))?;
        Ok(row.get(0))
    }

    /// Runs a checkpoint there.
    pub(crate) async fn checkpoint(&self, deadline: Duration) -> Result<(), PostgresError> {
        let what = format!("a checkpoint on node {}", self.peer);
        within(deadline, &what, self.session.client.batch_execute("CHECKPOINT"))
            .await?
            .map_err(PostgresError::sql("run a checkpoint on another node"))
    }
}
