//! Configuration files and state files of every kind, right and wrong.

use std::path::{Path, PathBuf};

use pgaf_core::{Assignment, CommitRule, Epoch, GroupId, Lsn, NodeId, Peer, ReplicationState};
use proptest::prelude::*;
use tempfile::TempDir;

use super::state::{self, KeeperState, StateError};
use super::{ConfigError, NodeConfig, Paths, file};

fn paths(directory: &Path) -> Paths {
    let config = directory.join("pg_autoctl.cfg");
    Paths { config, state: PathBuf::new(), init: PathBuf::new(), pid: PathBuf::new() }
}

/// A configuration in which everything that must have a value has one.
fn complete(directory: &Path) -> NodeConfig {
    let mut config = NodeConfig::empty(paths(directory));
    config.monitor = Some("postgres://autoctl_node@h:5432/pg_auto_failover".parse().expect("a URI"));
    config.postgres.pgdata = "/data/pg".into();
    config.postgres.pg_ctl = "/bin/pg_ctl".into();
    config.hostname = "h".to_owned();
    config
}

fn read(config: &NodeConfig) -> Result<NodeConfig, ConfigError> {
    let path = &config.paths.config;
    let ini = file::read(path)?.expect("there");
    let mut again = NodeConfig::empty(config.paths.clone());
    file::apply(path, &ini, &mut again)?;
    Ok(again)
}

fn stored(config: &NodeConfig, name: &str) -> Option<String> {
    let mut entries = file::entries(config, false).into_iter();
    entries.find(|(section, key, _)| format!("{section}.{key}") == name).map(|(_, _, value)| value)
}

/// A value that may fit one of the keys, and mostly fits none.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,16}",
        "[0-9]{1,11}( ?(ms|s|min|h|k|M))?",
        "/[a-z #;=\"'\\\\\\\\]{0,12}",
        "postgres://[a-z]{1,4}(:[!-~]{1,4})?@[a-z]{1,4}/[a-z]{0,4}(\\?sslmode=(require|on))?",
        "[ \t\u{a0}\u{2003}]?[a-z]{1,4}[ \t\u{a0}\u{2003}]?",
    ]
}

const SETTABLE: [&str; 14] = [
    "pg_autoctl.monitor",
    "postgresql.pg_ctl",
    "postgresql.host",
    "postgresql.proxyport",
    "postgresql.listen_addresses",
    "postgresql.auth_method",
    "postgresql.hba_level",
    "replication.maximum_backup_rate",
    "replication.backup_directory",
    "replication.password",
    "timeout.network_partition_timeout",
    "timeout.prepare_promotion_catchup",
    "timeout.postgresql_restart_failure_timeout",
    "timeout.postgresql_restart_failure_max_retries",
];

/// Keys whose value is any text: it is stored as it was given.
const VERBATIM: [&str; 4] =
    ["postgresql.pg_ctl", "postgresql.host", "postgresql.listen_addresses", "replication.password"];

/// Lines that are nearly a configuration file.
fn nearly_a_file() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "\\[(pg_autoctl|postgresql|ssl|replication|timeout|citus|x)\\]?",
        "(role|port|pgdata|group|active|sslmode|password|hostname|monitor|formation) ?[=:] ?[ -~]{0,8}",
        "port = [0-9+-]{1,6}",
        "(group|proxyport) = [0-9+-]{1,11}",
        "[#;] ?\\PC{0,8}",
        "\\PC{0,12}",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn what_is_set_reads_back_or_the_key_is_named(
        key in 0..SETTABLE.len(),
        value in value(),
    ) {
        let directory = TempDir::new()?;
        let mut config = complete(directory.path());
        let name = SETTABLE[key];
        match file::set(&mut config, name, &value) {
            Ok(()) => {
                if VERBATIM.contains(&name) {
                    prop_assert_eq!(stored(&config, name).unwrap_or_default(), value);
                }
                file::write(&config.paths.config, &config)?;
                let again = read(&config)?;
                prop_assert_eq!(file::entries(&again, false), file::entries(&config, false));
                prop_assert_eq!(again.timeout.network_partition, config.timeout.network_partition);
            }
            Err(error) => prop_assert!(error.to_string().contains(name), "{}", error),
        }
    }

    #[test]
    fn a_file_is_taken_as_it_is_or_the_place_is_named(content in prop_oneof![nearly_a_file(), any::<String>()]) {
        let directory = TempDir::new()?;
        let config = complete(directory.path());
        std::fs::write(&config.paths.config, &content)?;
        match read(&config) {
            Ok(taken) => {
                file::write(&config.paths.config, &taken)?;
                let again = read(&taken)?;
                prop_assert_eq!(file::entries(&again, false), file::entries(&taken, false));
            }
            Err(error) => {
                let message = error.to_string();
                prop_assert!(names_a_place(&message, &config.paths.config), "{}", message);
            }
        }
    }
}

/// The message names the file, and the line and column or the key.
fn names_a_place(message: &str, path: &Path) -> bool {
    let Some(reason) = message.split_once(&path.display().to_string()).map(|(_, reason)| reason) else {
        return false;
    };
    let is_place = |word: &str| {
        word.split_once(':')
            .is_some_and(|(line, column)| line.parse::<u32>().is_ok() && column.parse::<u32>().is_ok())
    };
    let is_key = |word: &str| word.trim_matches(['"', ':', ';']).split('.').count() == 2;
    reason.split_whitespace().any(|word| is_place(word) || is_key(word)) || reason.contains("no setting")
}

fn states() -> impl Strategy<Value = ReplicationState> {
    (0..ReplicationState::ALL.len()).prop_map(|index| ReplicationState::ALL[index])
}

prop_compose! {
    fn peers()((node, name, host, port) in any::<(i64, String, String, u16)>()) -> Peer {
        Peer { node: NodeId(node), name, host, port }
    }
}

prop_compose! {
    fn assignments()(
        (node, group, epoch) in any::<(i64, i32, i64)>(),
        goal in states(),
        (candidate_priority, replication_quorum) in any::<(i32, bool)>(),
        (standbys, acks) in any::<(Vec<i64>, u32)>(),
        upstream in proptest::option::of(peers()),
        peers in proptest::collection::vec(peers(), 0..4),
        fetch_up_to in any::<Option<u64>>(),
        dbname: String,
        network_partition_timeout_ms: Option<u64>,
    ) -> Assignment {
        Assignment {
            node: NodeId(node),
            group: GroupId(group),
            epoch: Epoch(epoch),
            goal,
            candidate_priority,
            replication_quorum,
            commit_rule: CommitRule { standbys: standbys.into_iter().map(NodeId).collect(), acks },
            upstream,
            peers,
            fetch_up_to: fetch_up_to.map(Lsn),
            dbname,
            network_partition_timeout_ms,
        }
    }
}

prop_compose! {
    fn keeper_states()(
        (node, group, epoch) in any::<(i64, i32, i64)>(),
        reported in states(),
        assignment in proptest::option::of(assignments()),
    ) -> KeeperState {
        let mut state = KeeperState::registered(NodeId(node), GroupId(group));
        state.reported = reported;
        state.reported_epoch = Epoch(epoch);
        state.assignment = assignment;
        state
    }
}

proptest! {
    #[test]
    fn every_state_reads_back(state in keeper_states()) {
        let directory = TempDir::new()?;
        let path = directory.path().join("state");
        state::store(&path, &state)?;
        prop_assert_eq!(state::load(&path)?, Some(state));
    }

    #[test]
    fn a_part_of_a_state_file_is_an_error(state in keeper_states(), part in 0.0..1.0f64) {
        let directory = TempDir::new()?;
        let path = directory.path().join("state");
        state::store(&path, &state)?;
        let content = std::fs::read(&path)?;
        std::fs::write(&path, &content[..(content.len() as f64 * part) as usize])?;
        let is_damaged = matches!(state::load(&path), Err(StateError::Damaged { .. }));
        prop_assert!(is_damaged);
    }

    #[test]
    fn a_damaged_state_file_is_an_error_or_another_state(
        state in keeper_states(),
        at: prop::sample::Index,
        with: Vec<u8>,
    ) {
        let directory = TempDir::new()?;
        let path = directory.path().join("state");
        state::store(&path, &state)?;
        let mut content = std::fs::read(&path)?;
        let at = at.index(content.len());
        content.splice(at..=at, with);
        std::fs::write(&path, &content)?;
        // What was accepted is stored as it was understood.
        if let Ok(understood) = state::load(&path) {
            let understood = understood.expect("there is a file");
            state::store(&path, &understood)?;
            prop_assert_eq!(state::load(&path)?, Some(understood));
        }
    }
}
