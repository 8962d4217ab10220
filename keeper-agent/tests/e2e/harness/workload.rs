//! What one commit of a client is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::ledger::Ack;
use super::sql::Session;

/// The table that is written to.
pub(crate) const TABLE_DDL: &str = "create table if not exists ledger(\
     writer int not null, value bigint not null, primary key (writer, value)); \
     grant all on ledger to public;";

/// The tables of a Citus formation: a row of `ledger` is in one shard, the two rows of a pair are mostly in two.
pub(crate) const DISTRIBUTED_DDL: [&str; 4] = [
    TABLE_DDL,
    "create table pairs(writer int not null, value bigint not null, part bigint not null, \
     primary key (writer, value, part)); grant all on pairs to public",
    "select create_distributed_table('ledger', 'value', shard_count => 8)",
    "select create_distributed_table('pairs', 'part', colocate_with => 'none', shard_count => 8)",
];

/// What a client commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One row.
    Row,
    /// Two rows of a distributed table, in one transaction.
    Pair,
}

impl Workload {
    /// Commits a value; returns when that is acknowledged.
    pub(super) async fn commit(
        self,
        session: &Session,
        writer: usize,
        value: u64,
        patience: Duration,
    ) -> Result<()> {
        match self {
            Self::Row => {
                let insert = format!("insert into ledger values ({writer}, {value})");
                session.rows(&insert, patience).await?;
            }
            Self::Pair => {
                session.rows("begin", patience).await?;
                for part in [2 * value, 2 * value + 1] {
                    let insert = format!("insert into pairs values ({writer}, {value}, {part})");
                    session.rows(&insert, patience).await?;
                }
                session.rows("commit", patience).await?;
            }
        }
        Ok(())
    }
}

/// Who answers in a session: as long as that lasts, its server stays what it is.
pub(super) struct Server {
    address: String,
    timeline: u32,
}

impl Server {
    /// The server of a session, which must accept writes.
    pub(super) async fn behind(session: &Session, patience: Duration) -> Result<Self> {
        let question = "select host(inet_server_addr()), \
                        substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";
        let rows = session.rows(question, patience).await?;
        let mut columns = rows.into_iter().flatten().flatten();
        let address = columns.next().context("no server address")?;
        let timeline = columns.next().context("no timeline")?;
        Ok(Self { address, timeline: u32::from_str_radix(&timeline, 16)? })
    }

    /// An acknowledgement of it.
    pub(super) fn ack(&self, value: u64, sent: Instant, acked: Instant) -> Ack {
        Ack { value, sent, acked, server: self.address.clone(), timeline: self.timeline }
    }
}
