//! What a cluster that we have made starts with: memory by what this machine has, strong ciphers, and statistics of
//! statements where they are installed. Its postgresql.conf includes a file of ours for that, in the first lines, so that
//! its owner may set anything else below. The file is each node's own, written anew before each start. A cluster that was
//! adopted has no such line, and is left alone.

use std::path::{Path, PathBuf};

use crate::postgres::server::{
    InstanceConfig, LocalServer, LocalSession, PostgresError, ServerKind, connection, files, ram,
};

use super::lines::{HEADER, Lines};
use super::written;

/// The included file.
pub(crate) const FRESH_FILE: &str = "postgresql-auto-failover-fresh.conf";

/// The library and the extension with statistics of statements.
pub(crate) const STATEMENTS: &str = "pg_stat_statements";

/// Those that have forward secrecy and authenticate what they encrypt, and their older relatives, as pg_auto_failover 2.2
/// has them.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:\
ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:\
ECDHE-RSA-AES256-SHA384";

/// What initdb sets to values that suit no machine in particular.
const OF_INITDB: [&str; 3] = ["shared_buffers", "max_wal_size", "min_wal_size"];

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// Makes the postgresql.conf that initdb has written include the file.
pub(crate) fn include(main: &Path) -> Result<(), PostgresError> {
    let content = files::read_if_there(main)?.unwrap_or_default();
    let is_of_initdb =
        |line: &str| written::parse(line).is_some_and(|(name, _)| OF_INITDB.contains(&name.as_str()));
    let comment = |line: &str| if is_of_initdb(line) { format!("#{line}\n") } else { format!("{line}\n") };
    let lines: String = content.lines().map(comment).collect();
    let include =
        format!("include_if_exists '{FRESH_FILE}' # memory of this machine, overwritten by pg_autoctl\n");
    files::replace(main, (include + &lines).as_bytes(), 0o600)
}

/// Writes the file, if this postgresql.conf includes it.
pub(crate) fn write(config: &InstanceConfig, main: &str) -> Result<(), PostgresError> {
    let is_include = |line: &str| {
        written::parse(line).is_some_and(|(name, value)| name.starts_with("include") && value == FRESH_FILE)
    };
    if !main.lines().any(is_include) {
        return Ok(());
    }
    let mut lines = Lines::default();
    for (name, value) in settings_of_this_machine().unwrap_or_default() {
        lines.set(name, &value);
    }
    lines.set("ssl_ciphers", CIPHERS);
    if preloads_statements(config) {
        lines.set("shared_preload_libraries", STATEMENTS);
    }
    let content = format!("{HEADER}{}", lines.text());
    files::replace(&config.in_pgdata(FRESH_FILE), content.as_bytes(), 0o600)
}

/// Names and values that depend on the memory; `None` where the system does not tell.
pub(crate) fn settings_of_this_machine() -> Option<Vec<(&'static str, String)>> {
    ram::of_this_machine().map(sizes)
}

impl LocalServer {
    /// Makes the extension in a new cluster, where its library is preloaded. A cluster without it is as good.
    pub async fn ensure_statement_statistics(&self, dbname: &str) {
        let made = async {
            let session = self.session(dbname).await?;
            make_statements(&session).await
        };
        if let Err(error) = made.await {
            tracing::warn!("could not enable pg_stat_statements in database \"{dbname}\": {error}");
        }
    }
}

async fn make_statements(session: &LocalSession) -> Result<(), PostgresError> {
    let question = "SELECT $1::text = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ',')) \
                    AND EXISTS (SELECT FROM pg_available_extensions WHERE name = $1::text)";
    let row = connection::row(session, "look for pg_stat_statements", question, &[&STATEMENTS]).await?;
    if !row.get::<_, bool>(0) {
        return Ok(());
    }
    let statement = format!("CREATE EXTENSION IF NOT EXISTS {STATEMENTS} SCHEMA public");
    connection::run(session, "create pg_stat_statements", &statement).await
}

/// The steps are those of pg_auto_failover 2.2.
fn sizes(memory: u64) -> Vec<(&'static str, String)> {
    let (shared_buffers, work_mem, maintenance_work_mem) = match memory {
        memory if memory <= 8 * GB => (memory / 4, 16 * MB, (memory / 16).min(256 * MB)),
        memory if memory <= 64 * GB => (memory / 4, 24 * MB, 512 * MB),
        memory if memory <= 256 * GB => (16 * GB, 32 * MB, GB),
        _ => (32 * GB, 64 * MB, 2 * GB),
    };
    let work_mem = work_mem.min(memory / 64);
    let in_mb = |bytes: u64| format!("{}MB", (bytes / MB).max(1));
    vec![
        ("shared_buffers", in_mb(shared_buffers.max(16 * MB))),
        ("effective_cache_size", in_mb(memory.saturating_sub(shared_buffers).max(16 * MB))),
        ("work_mem", in_mb(work_mem.max(4 * MB))),
        ("maintenance_work_mem", in_mb(maintenance_work_mem.max(16 * MB))),
        ("max_wal_size", in_mb((memory / 4).clamp(GB, 16 * GB))),
    ]
}

/// A plain data node whose Postgres has the library. A monitor and Citus have libraries of their own.
pub(crate) fn preloads_statements(config: &InstanceConfig) -> bool {
    let has_own = config.extra_settings.iter().any(|(name, _)| name == "shared_preload_libraries");
    config.kind == ServerKind::DataNode && !has_own && has_library(&config.bin_dir)
}

fn has_library(bin_dir: &Path) -> bool {
    let file = format!("{STATEMENTS}.so");
    let roots: Vec<PathBuf> = ["../lib", "../lib64", "../lib/postgresql", "../lib64/pgsql", "../lib/pgsql"]
        .iter()
        .map(|path| bin_dir.join(path))
        .collect();
    roots.iter().any(|root| root.join(&file).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(memory: u64, name: &str) -> String {
        let found = sizes(memory).into_iter().find(|(of, _)| *of == name);
        found.map(|(_, value)| value).expect("one of them")
    }

    #[test]
    fn sizes_follow_the_memory() {
        assert_eq!(size(8 * GB, "shared_buffers"), "2048MB");
        assert_eq!(size(8 * GB, "effective_cache_size"), "6144MB");
        assert_eq!(size(8 * GB, "work_mem"), "16MB");
        assert_eq!(size(128 * GB, "shared_buffers"), "16384MB");
        assert_eq!(size(512 * GB, "maintenance_work_mem"), "2048MB");
        assert_eq!(size(512 * GB, "max_wal_size"), "16384MB");
        // A small container.
        assert_eq!(size(256 * MB, "shared_buffers"), "64MB");
        assert_eq!(size(256 * MB, "work_mem"), "4MB");
        assert_eq!(size(256 * MB, "maintenance_work_mem"), "16MB");
        assert_eq!(size(256 * MB, "max_wal_size"), "1024MB");
    }

    #[test]
    fn what_initdb_has_set_is_commented_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let main = directory.path().join("postgresql.conf");
        std::fs::write(&main, "shared_buffers = 128MB\t# min 128kB\nmax_connections = 100\n")
            .expect("written");
        include(&main).expect("included");
        let content = std::fs::read_to_string(&main).expect("there");
        assert!(content.starts_with("include_if_exists 'postgresql-auto-failover-fresh.conf'"), "{content}");
        assert!(content.contains("\n#shared_buffers = 128MB"), "{content}");
        assert!(content.contains("\nmax_connections = 100\n"), "{content}");
    }
}
