//! The settings we give a server, in two files of ours that postgresql.conf includes: one in its first line, so that
//! what its owner writes further down wins, and one in its last line, which wins over all that stands above. Nothing else
//! in postgresql.conf is touched.

use std::path::{Path, PathBuf};

use pgaf_core::NodeId;

use crate::config::AuthMethod;
use crate::postgres::server::{InstanceConfig, PostgresError, ServerKind, files, version};

use super::conninfo;
use super::failover_settings::{FAILOVER_SETTINGS, LEAST_SENDERS};
use super::fresh::{self, FRESH_FILE};
use super::lines::{HEADER, Lines, unquote};
use super::route::Route;
use super::written::{self, Written};

/// The included file with the settings of every server.
pub const SETTINGS_FILE: &str = "postgresql-auto-failover.conf";
/// The included file with what must not be overruled and changes while the server runs: what a standby receives from, and
/// whom commits wait for.
pub const STANDBY_FILE: &str = "postgresql-auto-failover-standby.conf";
/// The included file with those settings of pg_auto_failover 2.x that are not ours.
pub(crate) const FILE_OF_2X: &str = "postgresql-auto-failover-2.conf";

/// The included file with the settings of the formation.
pub(crate) const FORMATION_FILE: &str = "postgresql-auto-failover-formation.conf";

/// Our own setting, by which a session sees that the server runs gated.
pub(crate) const GATE_SETTING: &str = "pg_autoctl.gated";

const SYNC_SETTING: &str = "sync_replication_slots";

/// What is in the file of the last line.
pub(crate) const LAST_WORDS: [&str; 4] =
    ["primary_conninfo", "primary_slot_name", "synchronous_standby_names", "synchronous_commit"];
/// Those of them that are of an upstream.
const OF_UPSTREAM: [&str; 2] = ["primary_conninfo", "primary_slot_name"];

/// The extension's library, without which the monitor does not work. Its name is not that of 2.x.
pub(crate) const MONITOR_LIBRARY: &str = "pgautofailover3";

/// The settings that change while the node lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changing {
    pub(crate) synchronous_standby_names: String,
    pub(crate) is_gated: bool,
    /// It may decode its log (`wal_level`), so that there can be slots for that, which its standbys keep in step with.
    pub(crate) is_logical: bool,
}

impl Changing {
    /// What the file says now; defaults when there is none.
    pub(crate) fn read(pgdata: &Path) -> Result<Self, PostgresError> {
        let settings = files::read_if_there(&pgdata.join(SETTINGS_FILE))?.unwrap_or_default();
        let last = files::read_if_there(&pgdata.join(STANDBY_FILE))?.unwrap_or_default();
        Ok(Self {
            synchronous_standby_names: value(&last, "synchronous_standby_names").unwrap_or_default(),
            is_gated: value(&settings, GATE_SETTING).as_deref() == Some("on"),
            is_logical: value(&settings, SYNC_SETTING).as_deref() == Some("on"),
        })
    }
}

/// Writes the settings file, and sees to it that both files are there and included.
fn write(config: &InstanceConfig, changing: &Changing) -> Result<(), PostgresError> {
    let pgdata = &config.pgdata;
    let major = version::of_data(pgdata)?;
    let settings = render(config, changing, major);
    let present = files::read_if_there(&pgdata.join(SETTINGS_FILE))?;
    if let Some(others) = present.and_then(|present| others_of_2x(&present, &settings)) {
        files::replace(&pgdata.join(FILE_OF_2X), others.as_bytes(), 0o600)?;
    }
    files::replace(&pgdata.join(SETTINGS_FILE), settings.as_bytes(), 0o600)?;
    let last = files::read_if_there(&pgdata.join(STANDBY_FILE))?.unwrap_or_default();
    let mut upstream: Vec<(&str, String)> =
        OF_UPSTREAM.iter().filter_map(|name| Some((*name, value(&last, name)?))).collect();
    for (_, conninfo) in upstream.iter_mut().filter(|(name, _)| *name == "primary_conninfo") {
        if let Some(renewed) = conninfo::renewed(config, conninfo, major) {
            *conninfo = renewed;
        }
    }
    write_last(config, upstream, changing)?;
    let main = pgdata.join("postgresql.conf");
    let Some(content) = files::read_if_there(&main)? else {
        return Err(PostgresError::Refused(format!(
            "there is no \"{}\": move the configuration files of this cluster into its data directory",
            main.display()
        )));
    };
    fresh::write(config, &content)?;
    let has_others = pgdata.join(FILE_OF_2X).exists();
    let first: &[&str] = if has_others { &[SETTINGS_FILE, FILE_OF_2X] } else { &[SETTINGS_FILE] };
    let has_formation = pgdata.join(FORMATION_FILE).exists();
    let last: &[&str] = if has_formation { &[FORMATION_FILE, STANDBY_FILE] } else { &[STANDBY_FILE] };
    if let Some(content) = with_includes(&content, first, last) {
        files::replace(&main, content.as_bytes(), 0o600)?;
    }
    Ok(())
}

/// Changes what of the settings changes while a server lives, and writes them. Whoever changes them reads them first:
/// they are changed as the work of a step alone, one at a time.
pub(crate) fn update(
    config: &InstanceConfig,
    change: impl FnOnce(&mut Changing),
) -> Result<(), PostgresError> {
    let mut changing = Changing::read(&config.pgdata)?;
    change(&mut changing);
    write(config, &changing)
}

/// Writes what a standby receives from; `None` for nobody. It waits for nobody itself: whoever is promoted is told anew.
pub(crate) fn write_standby(config: &InstanceConfig, upstream: Option<&Route>) -> Result<(), PostgresError> {
    let conninfo = match upstream {
        None => String::new(),
        Some(upstream) => conninfo::primary(config, upstream, version::of_data(&config.pgdata)?),
    };
    let slot = slot_name(config, upstream.is_some());
    let lines = vec![("primary_conninfo", conninfo), ("primary_slot_name", slot)];
    write_last(config, lines, &Changing::default())
}

/// Gives a standby another `primary_conninfo` for the node that it follows; false when it follows by another one by now.
pub(crate) fn reroute(config: &InstanceConfig, from: &str, to: &Route) -> Result<bool, PostgresError> {
    let last = files::read_if_there(&config.in_pgdata(STANDBY_FILE))?.unwrap_or_default();
    let is_the_same = value(&last, "primary_conninfo").as_deref() == Some(from);
    if is_the_same {
        write_standby(config, Some(to))?;
    }
    Ok(is_the_same)
}

/// The value of `primary_slot_name` of a standby that follows somebody, or nobody.
pub(crate) fn slot_name(config: &InstanceConfig, follows: bool) -> String {
    config.node.filter(|_| follows).map(|node| node.slot_name()).unwrap_or_default()
}

/// For sessions that do not choose by themselves: what the owner has set, unless commits would wait for nobody.
pub(crate) fn synchronous_commit(written: &Written, ours: &[PathBuf]) -> String {
    let chosen = written.foreign("synchronous_commit", ours).map(|entry| entry.value.to_ascii_lowercase());
    let chosen = chosen.filter(|value| matches!(value.as_str(), "remote_apply" | "remote_write"));
    chosen.unwrap_or_else(|| "on".to_owned())
}

fn write_last(
    config: &InstanceConfig,
    upstream: Vec<(&str, String)>,
    changing: &Changing,
) -> Result<(), PostgresError> {
    let mut lines = Lines::default();
    if config.replicates() {
        let written = Written::read(&config.pgdata)?;
        lines.set("synchronous_commit", &synchronous_commit(&written, &own_files(&config.pgdata)));
        lines.set("synchronous_standby_names", &changing.synchronous_standby_names);
    }
    for (name, value) in upstream {
        lines.set(name, &value);
    }
    let content = format!("{HEADER}{}", lines.text());
    files::replace(&config.in_pgdata(STANDBY_FILE), content.as_bytes(), 0o600)
}

/// The value that one of our files has.
fn value(content: &str, name: &str) -> Option<String> {
    content.lines().find_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        (key == name).then(|| unquote(value))
    })
}

/// Our files.
pub(crate) fn own_files(pgdata: &Path) -> Vec<PathBuf> {
    [SETTINGS_FILE, FILE_OF_2X, FRESH_FILE, FORMATION_FILE, STANDBY_FILE].map(|name| pgdata.join(name)).into()
}

/// The content with our include lines, these on top and these at the end; `None` when they are there.
fn with_includes(content: &str, on_top: &[&str], last: &[&str]) -> Option<String> {
    let is_include = |line: &str, file: &str| {
        written::parse(line).is_some_and(|(name, value)| name.starts_with("include") && value == file)
    };
    let line_of = |file: &str| {
        // A copy of another node's data may not have it.
        let is_optional = file == FILE_OF_2X || file == FORMATION_FILE;
        let directive = if is_optional { "include_if_exists" } else { "include" };
        format!("{directive} '{file}' # added by pg_autoctl\n")
    };
    let says_something = |line: &&str| written::parse(line).is_some();
    let is_missing = |file: &&&str| !content.lines().any(|line| is_include(line, file));
    let missing: String = on_top.iter().filter(is_missing).map(|file| line_of(file)).collect();
    let mut from_the_end = content.lines().rev().filter(says_something);
    let has_last =
        last.iter().rev().all(|file| from_the_end.next().is_some_and(|line| is_include(line, file)));
    if missing.is_empty() && has_last {
        return None;
    }
    let kept = content.lines().filter(|line| !last.iter().any(|file| is_include(line, file)));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    Some(missing + &kept + &last.iter().map(|file| line_of(file)).collect::<String>())
}

/// What pg_auto_failover 2.x has set in the file of the same name and we do not set: memory that it has reckoned, for
/// example, which a server must not lose when it starts again. `None` when the file is ours.
fn others_of_2x(present: &str, ours: &str) -> Option<String> {
    let name = |line: &str| line.split_once('=').map(|(name, _)| name.trim().to_owned());
    if present.starts_with(HEADER) {
        return None;
    }
    let is_ours = |line: &str| {
        name(line).is_some_and(|of_line| ours.lines().any(|our| name(our).is_some_and(|our| our == of_line)))
    };
    let others = present
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && name(line).is_some() && !is_ours(line));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    (!others.is_empty()).then(|| {
        format!("# Settings that pg_auto_failover 2.x made for this server. They are yours now.\n{others}")
    })
}

fn render(config: &InstanceConfig, changing: &Changing, major: Option<u32>) -> String {
    let mut lines = Lines::default();
    listening(config, &mut lines);
    logging(&mut lines);
    if config.replicates() {
        replication(config, &mut lines);
        if major.is_some_and(|major| major >= version::SYNCS_SLOTS_SINCE) {
            logical_slots(changing, &mut lines);
        }
        lines.set(GATE_SETTING, if changing.is_gated { "on" } else { "off" });
    }
    if config.kind == ServerKind::Monitor {
        lines.set("shared_preload_libraries", MONITOR_LIBRARY);
    }
    for (name, value) in &config.extra_settings {
        lines.set(name, value);
    }
    format!("{HEADER}{}", lines.text())
}

fn listening(config: &InstanceConfig, lines: &mut Lines) {
    lines.set("listen_addresses", &config.listen_addresses);
    lines.set("port", &config.port.to_string());
    if !config.name.is_empty() {
        lines.set("cluster_name", &config.name);
    }
    let ssl = &config.server_ssl;
    lines.set("ssl", if ssl.active { "on" } else { "off" });
    let files = [
        ("ssl_cert_file", &ssl.cert_file),
        ("ssl_key_file", &ssl.key_file),
        ("ssl_ca_file", &ssl.ca_file),
        ("ssl_crl_file", &ssl.crl_file),
    ];
    for (name, file) in files.into_iter().filter(|_| ssl.active) {
        if let Some(file) = file {
            lines.set(name, &file.to_string_lossy());
        }
    }
    let encryption = match config.auth {
        AuthMethod::Md5 => "md5",
        _ => "scram-sha-256",
    };
    lines.set("password_encryption", encryption);
    // Clients that vanished hold locks and, when they replicate, WAL.
    lines.set("tcp_keepalives_idle", "10");
    lines.set("tcp_keepalives_interval", "3");
    lines.set("tcp_keepalives_count", "3");
}

fn logging(lines: &mut Lines) {
    lines.set("logging_collector", "on");
    lines.set("log_destination", "stderr");
    lines.set("log_min_messages", "info");
    lines.set("log_checkpoints", "on");
    lines.set("log_lock_waits", "on");
    lines.set("log_line_prefix", "%m [%p] %q%u@%d ");
}

fn replication(config: &InstanceConfig, lines: &mut Lines) {
    for (name, value, _) in FAILOVER_SETTINGS {
        lines.set(name, value);
    }
    lines.set("max_wal_senders", &LEAST_SENDERS.to_string());
    lines.set("max_replication_slots", &LEAST_SENDERS.to_string());
    lines.set("max_slot_wal_keep_size", &slot_limit(config));
}

/// A standby copies the logical slots that are made for that, and a primary lets nobody decode what the standbys of its
/// quorum do not have yet: after a failover a subscriber would be ahead.
fn logical_slots(changing: &Changing, lines: &mut Lines) {
    // Where nothing can be decoded, the server complains about it again and again.
    lines.set(SYNC_SETTING, if changing.is_logical { "on" } else { "off" });
    let names = changing.synchronous_standby_names.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let slots: Vec<&str> = names.filter(|name| NodeId::of_slot_name(name).is_some()).collect();
    lines.set("synchronized_standby_slots", &slots.join(", "));
}

/// A standby that is away for long must not fill the disk of the primary: its slot may hold back as much WAL as half
/// of that disk.
fn slot_limit(config: &InstanceConfig) -> String {
    let size = rustix::fs::statvfs(config.in_pgdata("pg_wal"))
        .map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    match size / 2 / (1 << 20) {
        0 => "-1".to_owned(),
        megabytes => format!("{}MB", megabytes.min(i32::MAX as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing;

    #[test]
    fn logical_slots_are_kept_in_step_where_postgres_can() {
        let config = testing::config("/data".as_ref());
        let changing = Changing {
            synchronous_standby_names: "ANY 1 (pgautofailover_standby_2, pgautofailover_standby_13)"
                .to_owned(),
            is_gated: false,
            is_logical: true,
        };
        let lines = |changing: &Changing, major| -> Vec<String> {
            let text = render(&config, changing, major);
            let is_meant = |line: &&str| line.contains("sync_replication") || line.contains("standby_slots");
            text.lines().filter(is_meant).map(str::to_owned).collect()
        };
        assert_eq!(lines(&changing, Some(16)), [""; 0], "settings that it does not know");
        assert_eq!(lines(&changing, None), [""; 0]);
        let quorum =
            "synchronized_standby_slots = 'pgautofailover_standby_2, pgautofailover_standby_13'".to_owned();
        let sync = |value: &str| format!("sync_replication_slots = '{value}'");
        assert_eq!(lines(&changing, Some(17)), [sync("on"), quorum]);
        let alone = Changing::default();
        let nobody = "synchronized_standby_slots = ''".to_owned();
        assert_eq!(lines(&alone, Some(18)), [sync("off"), nobody]);
        assert!(render(&config, &alone, Some(17)).contains("hot_standby_feedback = 'on'"));
    }

    #[test]
    fn settings_of_2x_that_are_not_ours_stay() {
        let ours = format!("{HEADER}port = '5432'\nwal_level = 'replica'\n");
        let theirs =
            "# Settings by pg_auto_failover\nport = 5432\nwal_level = 'logical'\nshared_buffers = '6 GB'\n";
        let kept = others_of_2x(theirs, &ours).expect("settings");
        assert!(kept.ends_with("now.\nshared_buffers = '6 GB'\n"), "{kept}");
        assert_eq!(others_of_2x(&ours, &ours), None);
    }

    #[test]
    fn one_include_comes_first_and_one_last() {
        let with_includes = |content: &str| with_includes(content, &[SETTINGS_FILE], &[STANDBY_FILE]);
        let first = with_includes("port = 1\n").expect("missing");
        assert_eq!(
            first,
            "include 'postgresql-auto-failover.conf' # added by pg_autoctl\n\
             port = 1\n\
             include 'postgresql-auto-failover-standby.conf' # added by pg_autoctl\n"
        );
        assert_eq!(with_includes(&first), None);
        assert_eq!(with_includes(&(first.clone() + "# a comment\n")), None);
        let appended = with_includes(&(first.clone() + "work_mem = '8MB'")).expect("no longer the last line");
        assert_eq!(appended.lines().count(), 4, "{appended}");
        assert!(appended.ends_with("standby.conf' # added by pg_autoctl\n"), "{appended}");
        let commented = with_includes("# include 'postgresql-auto-failover.conf'\n");
        assert!(commented.is_some_and(|content| content.lines().count() == 3));
    }
}
