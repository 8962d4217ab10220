//! What `pg_controldata` says of a data directory.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use pgaf_core::lsn::{Lsn, Timeline};

use crate::postgres::server::{InstanceConfig, Limit, LocalServer, PostgresError, Program};

/// The control file, by which Postgres knows where to begin.
pub(crate) const CONTROL_FILE: &str = "global/pg_control";

/// What `initdb --wal-segsize` takes.
const WAL_SEGMENT_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 30;

/// The parts of the control file that the keeper looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlData {
    /// Made by initdb, the same in every copy.
    pub system_identifier: u64,
    /// How the cluster was left.
    pub state: ClusterState,
    /// Where the latest checkpoint is.
    pub checkpoint: Lsn,
    /// The timeline of the latest checkpoint, or the one recovery got to, if that is later.
    pub timeline: Timeline,
    /// Where recovery has to get to at least; zero when it need not.
    pub minimum_recovery_end: Lsn,
    /// `initdb --wal-segsize`.
    pub wal_segment_bytes: u64,
    /// What the WAL requires of a standby.
    pub recovery_settings: RecoverySettings,
}

/// Settings of the server that wrote the WAL, of which a standby may have none lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RecoverySettings {
    /// `max_connections`
    pub max_connections: u32,
    /// `max_worker_processes`
    pub max_worker_processes: u32,
    /// `max_wal_senders`
    pub max_wal_senders: u32,
    /// `max_prepared_transactions`
    pub max_prepared_transactions: u32,
    /// `max_locks_per_transaction`
    pub max_locks_per_transaction: u32,
}

impl RecoverySettings {
    /// With their names.
    pub(crate) fn all(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("max_connections", self.max_connections),
            ("max_worker_processes", self.max_worker_processes),
            ("max_wal_senders", self.max_wal_senders),
            ("max_prepared_transactions", self.max_prepared_transactions),
            ("max_locks_per_transaction", self.max_locks_per_transaction),
        ]
    }

    /// None is lower than those.
    pub(crate) fn is_enough_for(&self, needs: &Self) -> bool {
        self.all().iter().zip(needs.all()).all(|((_, own), (_, needed))| *own >= needed)
    }
}

/// How a cluster was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Shut down as a primary.
    ShutDown,
    /// Shut down as a standby.
    ShutDownInRecovery,
    /// Running, or crashed, as a standby.
    InRecovery,
    /// Running, or crashed, as a primary.
    Primary,
}

impl LocalServer {
    /// Reads the control file.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub async fn control_data(&self) -> Result<ControlData, PostgresError> {
        ControlData::read(&self.config()).await
    }

    /// The versions of the control file's layout and of the catalogs; 0 where it does not say.
    ///
    /// # Errors
    /// There is no control file.
    pub async fn control_versions(&self) -> Result<[u32; 2], PostgresError> {
        let output = print(&self.config()).await?;
        let number = |name| value_in(&output, name).and_then(|value| value.parse().ok()).unwrap_or_default();
        Ok(["pg_control version number", "Catalog version number"].map(number))
    }
}

/// What `pg_controldata` prints.
async fn print(config: &InstanceConfig) -> Result<String, PostgresError> {
    let program = Program::new(&config.bin_dir, "pg_controldata").arg("-D").arg(&config.pgdata);
    Ok(program.run(Limit::Within(Duration::from_secs(10))).await?.stdout)
}

/// The value of one line of that.
fn value_in<'a>(output: &'a str, name: &str) -> Option<&'a str> {
    output.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim())
    })
}

impl ControlData {
    /// Runs `pg_controldata`.
    pub(crate) async fn read(config: &InstanceConfig) -> Result<Self, PostgresError> {
        Self::parse(&print(config).await?).ok_or_else(|| {
            PostgresError::Refused(format!("\"{}\" has a damaged control file", config.pgdata.display()))
        })
    }

    /// It was shut down cleanly.
    pub const fn is_clean(&self) -> bool {
        matches!(self.state, ClusterState::ShutDown | ClusterState::ShutDownInRecovery)
    }

    /// It was a standby when it was last written: it must not come back as anything else.
    pub const fn was_in_recovery(&self) -> bool {
        matches!(self.state, ClusterState::InRecovery | ClusterState::ShutDownInRecovery)
    }

    /// Where the last record of a primary begins that was shut down cleanly.
    pub(crate) fn end_of_primary(&self) -> Option<Lsn> {
        (self.state == ClusterState::ShutDown).then_some(self.checkpoint)
    }

    /// Reads what `pg_controldata` prints; `None` when anything in it is not as it must be.
    fn parse(output: &str) -> Option<Self> {
        if output.contains("Calculated CRC checksum does not match") {
            return None;
        }
        let value = |name: &str| value_in(output, name);
        let timeline: u32 = value("Latest checkpoint's TimeLineID")?.parse().ok()?;
        let recovered: u32 = value("Min recovery ending loc's timeline")?.parse().ok()?;
        let wal_segment_bytes: u64 = value("Bytes per WAL segment")?.parse().ok()?;
        if timeline == 0
            || !WAL_SEGMENT_BYTES.contains(&wal_segment_bytes)
            || !wal_segment_bytes.is_power_of_two()
        {
            return None;
        }
        Some(Self {
            system_identifier: value("Database system identifier")?.parse().ok()?,
            state: match value("Database cluster state")? {
                "shut down" => ClusterState::ShutDown,
                "shut down in recovery" => ClusterState::ShutDownInRecovery,
                "in archive recovery" => ClusterState::InRecovery,
                "starting up" | "in production" | "shutting down" | "in crash recovery" => {
                    ClusterState::Primary
                }
                _ => return None,
            },
            checkpoint: value("Latest checkpoint location")?.parse().ok()?,
            timeline: Timeline(timeline.max(recovered)),
            minimum_recovery_end: value("Minimum recovery ending location")?.parse().ok()?,
            wal_segment_bytes,
            recovery_settings: RecoverySettings {
                max_connections: value("max_connections setting")?.parse().ok()?,
                max_worker_processes: value("max_worker_processes setting")?.parse().ok()?,
                max_wal_senders: value("max_wal_senders setting")?.parse().ok()?,
                max_prepared_transactions: value("max_prepared_xacts setting")?.parse().ok()?,
                max_locks_per_transaction: value("max_locks_per_xact setting")?.parse().ok()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OUTPUT: &str = "\
pg_control version number:            1300
Database system identifier:           7300000000000000001
Database cluster state:               shut down in recovery
pg_control last modified:             Mon 01 Jan 2024 10:11:12 AM UTC
Latest checkpoint location:           0/3000060
Latest checkpoint's TimeLineID:       2
Minimum recovery ending location:     0/30000D8
Min recovery ending loc's timeline:   3
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              12
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
Bytes per WAL segment:                16777216
";

    #[test]
    fn the_timeline_is_the_one_recovery_got_to() {
        let read = ControlData::parse(OUTPUT).expect("complete");
        assert_eq!(read.timeline, Timeline(3));
        assert_eq!(read.system_identifier, 7_300_000_000_000_000_001);
        assert!(read.is_clean() && read.was_in_recovery());
    }

    #[test]
    fn only_a_primary_that_was_shut_down_says_where_its_log_ends() {
        let end = |state: &str| {
            let output = OUTPUT.replace("shut down in recovery", state);
            ControlData::parse(&output).expect("complete").end_of_primary()
        };
        assert_eq!(end("shut down"), Some(Lsn(0x300_0060)));
        for state in ["shut down in recovery", "in archive recovery", "in production"] {
            assert_eq!(end(state), None, "{state}");
        }
    }

    #[test]
    fn a_torn_control_file_is_not_believed() {
        let torn = format!("WARNING: Calculated CRC checksum does not match value\n{OUTPUT}");
        assert_eq!(ControlData::parse(&torn), None);
        assert_eq!(ControlData::parse(""), None);
        for (right, wrong) in [
            ("shut down in recovery", "unrecognized status code"),
            ("TimeLineID:       2", "TimeLineID:       0"),
            ("16777216", "16777217"),
            ("16777216", "0"),
        ] {
            assert_eq!(ControlData::parse(&OUTPUT.replace(right, wrong)), None, "{wrong}");
        }
    }

    const STATES: [(&str, ClusterState); 7] = [
        ("shut down", ClusterState::ShutDown),
        ("shut down in recovery", ClusterState::ShutDownInRecovery),
        ("in archive recovery", ClusterState::InRecovery),
        ("starting up", ClusterState::Primary),
        ("shutting down", ClusterState::Primary),
        ("in crash recovery", ClusterState::Primary),
        ("in production", ClusterState::Primary),
    ];

    fn print(data: &ControlData, state: &str, recovered: u32) -> String {
        format!(
            "Database system identifier:           {}\nDatabase cluster state:               {state}\n\
             Latest checkpoint location:           {}\nLatest checkpoint's TimeLineID:       {}\n\
             Minimum recovery ending location:     {}\nMin recovery ending loc's timeline:   {recovered}\n\
             max_connections setting:              {}\nmax_worker_processes setting:         {}\n\
             max_wal_senders setting:              {}\nmax_prepared_xacts setting:           {}\n\
             max_locks_per_xact setting:           {}\n\
             Bytes per WAL segment:                {}\n",
            data.system_identifier,
            data.checkpoint,
            data.timeline,
            data.minimum_recovery_end,
            data.recovery_settings.max_connections,
            data.recovery_settings.max_worker_processes,
            data.recovery_settings.max_wal_senders,
            data.recovery_settings.max_prepared_transactions,
            data.recovery_settings.max_locks_per_transaction,
            data.wal_segment_bytes
        )
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            (system_identifier, checkpoint, end) in any::<(u64, u64, u64)>(),
            timeline in 1..=u32::MAX,
            behind in 0..=1u32,
            state in 0..STATES.len(),
            segment in 20..=30u32,
            settings: [u32; 5],
        ) {
            let (word, state) = STATES[state];
            let data = ControlData {
                system_identifier,
                state,
                checkpoint: Lsn(checkpoint),
                timeline: Timeline(timeline),
                minimum_recovery_end: Lsn(end),
                wal_segment_bytes: 1 << segment,
                recovery_settings: RecoverySettings {
                    max_connections: settings[0],
                    max_worker_processes: settings[1],
                    max_wal_senders: settings[2],
                    max_prepared_transactions: settings[3],
                    max_locks_per_transaction: settings[4],
                },
            };
            prop_assert_eq!(ControlData::parse(&print(&data, word, timeline - behind)), Some(data));
        }

        #[test]
        fn a_line_that_is_missing_or_damaged_is_noticed(
            line in 0..14usize,
            replacement in prop_oneof![Just(String::new()), "\\PC{0,40}"],
        ) {
            let mut lines: Vec<&str> = OUTPUT.lines().collect();
            let replaced = std::mem::replace(&mut lines[line], &replacement);
            let read = ControlData::parse(&lines.join("\n"));
            let is_of_no_interest = ["pg_control version", "pg_control last"].iter().any(|name| replaced.starts_with(name));
            if is_of_no_interest {
                prop_assert_eq!(read, ControlData::parse(OUTPUT));
            } else {
                prop_assert_eq!(read, None);
            }
        }

        #[test]
        fn no_text_is_too_strange(output: String) {
            prop_assert_eq!(ControlData::parse(&output), None);
        }
    }
}
