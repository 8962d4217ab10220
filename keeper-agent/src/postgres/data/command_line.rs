//! What a server is told on its command line: no file, no ALTER SYSTEM and no role overrules that before the next start.
//!
//! Here is what would break a failover, or replication, if it had another value, and need not change while the server
//! runs. What does change is in the last lines of postgresql.conf, and is read back: see `settings` and `overruled`.

use std::path::PathBuf;

use crate::postgres::configuration::failover_settings::{FAILOVER_SETTINGS, LEAST_SENDERS, Override};
use crate::postgres::configuration::settings::{MONITOR_LIBRARY, own_files, synchronous_commit};
use crate::postgres::configuration::written::{Entry, Written};
use crate::postgres::server::{InstanceConfig, ServerKind, owners_commands};

use super::control_data::RecoverySettings;

/// The monitor's own workers, beside those that queries may take.
const LEAST_WORKERS_OF_MONITOR: u32 = 8;
/// Longer than this nobody waits for a dead peer.
const LONGEST_TIMEOUT_MS: u64 = 60_000;
/// The last version with a file that promotes.
const HAS_TRIGGER_FILE_UNTIL: u32 = 15;

/// Settings, and what of the files they overrule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) settings: Vec<(&'static str, String)>,
    /// For people, one sentence each.
    pub(crate) remarks: Vec<String>,
    /// What has to be changed before this node can be what it was meant to be, for the monitor to show.
    pub(crate) notice: Option<String>,
}

impl CommandLine {
    /// For a server with these files; `needs` is what the WAL requires of one that starts as a standby.
    pub(crate) fn new(
        config: &InstanceConfig,
        major: Option<u32>,
        written: &Written,
        needs: Option<&RecoverySettings>,
    ) -> Self {
        let mut line = Builder { written, ours: own_files(&config.pgdata), line: Self::default() };
        line.files(config);
        line.libraries(config);
        let workers = match config.kind {
            ServerKind::DataNode => 0,
            ServerKind::Monitor => LEAST_WORKERS_OF_MONITOR,
        };
        if config.replicates() {
            line.data_node(major);
            line.numbers(needs, workers);
        } else {
            line.at_least("max_worker_processes", workers, "the monitor");
        }
        line.line
    }
}

struct Builder<'a> {
    written: &'a Written,
    ours: Vec<PathBuf>,
    line: CommandLine,
}

impl Builder<'_> {
    /// This value, whatever the files say.
    fn set(&mut self, name: &'static str, value: &str) {
        if let Some(entry) = self.foreign(name)
            && !is_same(&entry.value, value)
        {
            let remark = format!(
                "{name} = '{}' in {} has no effect: pg_autoctl starts Postgres with '{value}'",
                entry.value,
                entry.place()
            );
            self.line.remarks.push(remark);
        }
        self.line.settings.push((name, value.to_owned()));
    }

    fn foreign(&self, name: &str) -> Option<&Entry> {
        self.written.foreign(name, &self.ours)
    }

    /// The files that the keeper edits are those that count.
    fn files(&mut self, config: &InstanceConfig) {
        let path = |name: &str| config.pgdata.join(name).display().to_string();
        self.set("data_directory", &config.pgdata.display().to_string());
        self.set("hba_file", &path("pg_hba.conf"));
        self.set("ident_file", &path("pg_ident.conf"));
    }

    /// Libraries that the server cannot do without are loaded beside those of its owner.
    fn libraries(&mut self, config: &InstanceConfig) {
        const NAME: &str = "shared_preload_libraries";
        let configured = config.extra_settings.iter().find(|(name, _)| name == NAME);
        let ours = match config.kind {
            ServerKind::Monitor => MONITOR_LIBRARY,
            ServerKind::DataNode => configured.map_or("", |(_, value)| value.as_str()),
        };
        if !ours.is_empty() {
            let theirs = self.foreign(NAME).map_or("", |entry| entry.value.as_str());
            let merged = merged_libraries(ours, theirs);
            self.line.settings.push((NAME, merged));
        }
    }

    fn data_node(&mut self, major: Option<u32>) {
        for name in ["", "_name", "_time", "_xid", "_lsn"] {
            self.set(recovery_target(name), "");
        }
        self.set("recovery_target_timeline", "latest");
        if major.is_some_and(|major| major <= HAS_TRIGGER_FILE_UNTIL) {
            self.set("promote_trigger_file", "");
        }
        self.set("recovery_min_apply_delay", "0");
        for (name, value, overriding) in FAILOVER_SETTINGS {
            match overriding {
                Override::Allowed => {}
                Override::Bounded => self.timeout(name, value),
                Override::Never => self.set(name, value),
            }
        }
        if self.foreign("wal_level").is_some_and(|entry| entry.value.eq_ignore_ascii_case("minimal")) {
            self.set("wal_level", "replica");
        }
        let commits = synchronous_commit(self.written, &self.ours);
        self.set("synchronous_commit", &commits);
        self.around("restore_command", owners_commands::around_restore);
        self.around("recovery_end_command", owners_commands::around_recovery_end);
    }

    /// The owner's command, in a form in which it can be ended when it hangs.
    fn around(&mut self, name: &'static str, around: fn(&str) -> String) {
        let entry = self.written.get(name).filter(|entry| !entry.value.trim().is_empty());
        if let Some(command) = entry.map(|entry| around(&entry.value)) {
            self.line.settings.push((name, command));
        }
    }

    /// The user's own, unless it means for ever.
    fn timeout(&mut self, name: &'static str, ours: &str) {
        let milliseconds = self.foreign(name).map(|entry| milliseconds(&entry.value));
        if milliseconds
            .is_some_and(|value| value.is_none_or(|value| value == 0 || value > LONGEST_TIMEOUT_MS))
        {
            self.set(name, ours);
        }
    }

    /// The five numbers that a standby must not have lower than the primary, and that of the slots.
    fn numbers(&mut self, needs: Option<&RecoverySettings>, workers: u32) {
        self.at_least("max_replication_slots", LEAST_SENDERS, "the standbys");
        let mut least = vec![("max_wal_senders", LEAST_SENDERS, "the standbys")];
        if workers > 0 {
            least.push(("max_worker_processes", workers, "the monitor"));
        }
        for (name, value) in needs.map(RecoverySettings::all).unwrap_or_default() {
            match least.iter_mut().find(|(of, ..)| *of == name) {
                Some((_, number, why)) if value > *number => (*number, *why) = (value, PRIMARY),
                Some(_) => {}
                None => least.push((name, value, PRIMARY)),
            }
        }
        for (name, value, why) in least {
            self.at_least(name, value, why);
        }
    }

    /// The number of the files, unless it is too low. What is written nowhere has Postgres's own value.
    fn at_least(&mut self, name: &'static str, least: u32, why: &str) {
        let entry = self.written.get(name);
        let present = entry.map_or_else(|| default_of(name), |entry| entry.value.parse().unwrap_or(0));
        if present >= least {
            return;
        }
        let place = entry.map_or_else(|| "by default".to_owned(), |entry| format!("in {}", entry.place()));
        let remark = format!(
            "{name} = {present} {place} is too low for {why}: pg_autoctl starts Postgres with {least}"
        );
        if why == PRIMARY {
            self.line.notice.get_or_insert_with(|| remark.clone());
        }
        self.line.remarks.push(remark);
        self.line.settings.push((name, least.to_string()));
    }
}

/// What `MONITOR_LIBRARY` was in pg_auto_failover 2.x.
const REPLACED_LIBRARY: &str = "pgautofailover";

const PRIMARY: &str = "the WAL of the primary";

const fn recovery_target(suffix: &str) -> &'static str {
    match suffix.as_bytes() {
        b"_name" => "recovery_target_name",
        b"_time" => "recovery_target_time",
        b"_xid" => "recovery_target_xid",
        b"_lsn" => "recovery_target_lsn",
        _ => "recovery_target",
    }
}

fn default_of(name: &str) -> u32 {
    match name {
        "max_connections" => 100,
        "max_worker_processes" => 8,
        "max_wal_senders" | "max_replication_slots" => 10,
        "max_locks_per_transaction" => 64,
        _ => 0,
    }
}

/// Ours first, as Citus insists on that; nothing twice, and no library of pg_auto_failover 2.x beside its successor.
fn merged_libraries(ours: &str, theirs: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in ours.split(',').chain(theirs.split(',')) {
        let name = name.trim().trim_matches('"');
        let plain = name.strip_prefix("$libdir/").unwrap_or(name);
        let is_replaced = plain == REPLACED_LIBRARY && ours == MONITOR_LIBRARY;
        if !plain.is_empty() && !is_replaced && !names.contains(&plain) {
            names.push(plain);
        }
    }
    names.join(",")
}

/// Equal, or two words for the same.
fn is_same(one: &str, other: &str) -> bool {
    let known = |value: &str| match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => "on".to_owned(),
        "false" | "no" | "0" => "off".to_owned(),
        other => other.replace(' ', ""),
    };
    known(one) == known(other)
}

/// A duration in milliseconds unless it says otherwise; `None` for what is none.
fn milliseconds(value: &str) -> Option<u64> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..end].parse().ok()?;
    let unit = match value[end..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "us" => return Some(number / 1_000),
        _ => return None,
    };
    Some(number.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing;

    fn line(content: &str, needs: Option<&RecoverySettings>) -> CommandLine {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("postgresql.conf"), content).expect("written");
        let config = testing::config(directory.path());
        let written = Written::read(directory.path()).expect("read");
        CommandLine::new(&config, Some(15), &written, needs)
    }

    fn value(line: &CommandLine, name: &str) -> Option<String> {
        line.settings.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn what_the_files_say_of_it_has_no_effect_and_is_named() {
        let line = line(
            "x = 1\nrecovery_target_time = '2020-01-01'\nhot_standby = true\nmax_wal_senders = 12\n\
             max_replication_slots = 12\n",
            None,
        );
        assert_eq!(value(&line, "recovery_target_time").as_deref(), Some(""));
        assert_eq!(line.remarks.len(), 1, "{:?}", line.remarks);
        assert!(line.remarks[0].contains("postgresql.conf\" line 2"), "{:?}", line.remarks);
    }

    #[test]
    fn numbers_of_a_standby_are_at_least_those_of_its_wal() {
        let needs = RecoverySettings {
            max_connections: 300,
            max_worker_processes: 8,
            max_wal_senders: 20,
            max_prepared_transactions: 5,
            max_locks_per_transaction: 64,
        };
        let low = "max_connections = 100\nmax_wal_senders = 12\nmax_replication_slots = 12\n";
        let standby = line(low, Some(&needs));
        assert_eq!(value(&standby, "max_connections").as_deref(), Some("300"));
        assert_eq!(value(&standby, "max_wal_senders").as_deref(), Some("20"));
        assert_eq!(value(&standby, "max_prepared_transactions").as_deref(), Some("5"));
        assert_eq!(value(&standby, "max_worker_processes"), None);
        assert_eq!(standby.remarks.len(), 3, "{:?}", standby.remarks);
        let primary = line(low, None);
        assert_eq!(value(&primary, "max_connections"), None, "a primary may have less than before");
        assert_eq!(value(&line("max_wal_senders = 0\n", None), "max_wal_senders").as_deref(), Some("12"));
    }

    #[test]
    fn libraries_of_the_owner_are_loaded_as_well() {
        for (ours, theirs, expected) in [
            ("citus", "pg_stat_statements, citus", "citus,pg_stat_statements"),
            ("citus", "", "citus"),
            (MONITOR_LIBRARY, "pg_stat_statements", "pgautofailover3,pg_stat_statements"),
            (MONITOR_LIBRARY, "'$libdir/x'".trim_matches('\''), "pgautofailover3,x"),
            (MONITOR_LIBRARY, "pgautofailover,a", "pgautofailover3,a"),
        ] {
            assert_eq!(merged_libraries(ours, theirs), expected, "{theirs}");
        }
    }

    #[test]
    fn commits_are_never_asynchronous_for_everybody() {
        let commits = |content: &str| value(&line(content, None), "synchronous_commit");
        assert_eq!(commits("synchronous_commit = off\n").as_deref(), Some("on"));
        assert_eq!(commits("synchronous_commit = 'remote_apply'\n").as_deref(), Some("remote_apply"));
    }

    #[test]
    fn a_timeout_is_the_users_unless_it_is_for_ever() {
        let timeout = |content: &str| value(&line(content, None), "wal_sender_timeout");
        assert_eq!(timeout("wal_sender_timeout = 30s\n"), None);
        for endless in ["0", "1h", "'90 s'"] {
            let content = format!("wal_sender_timeout = {endless}\n");
            assert_eq!(timeout(&content).as_deref(), Some("5s"), "{endless}");
        }
    }
}
