//! What ALTER SYSTEM has set of the settings that are the keeper's to change. It wins over every other file, so it is
//! taken back, and the log says so: a standby that follows nobody, or a commit that waits for nobody although the monitor
//! counts on it, costs data.

use crate::postgres::server::{InstanceConfig, LocalServer, PostgresError, Session, connection, files};

use super::opt_outs;
use super::settings::LAST_WORDS;
use super::written::{ALTER_SYSTEM_FILE, Entry, Written, without};

/// The lines of postgresql.auto.conf that set one of these.
fn found(
    config: &InstanceConfig,
    names: &[&'static str],
) -> Result<Vec<(&'static str, Entry)>, PostgresError> {
    if !config.replicates() {
        return Ok(Vec::new());
    }
    let written = Written::read(&config.pgdata)?;
    let file = config.in_pgdata(ALTER_SYSTEM_FILE);
    // How long a commit waits is its owner's choice, as long as it waits.
    let is_harmless =
        |entry: &Entry| entry.name == "synchronous_commit" && !opt_outs::is_asynchronous(&entry.value);
    let of = |name: &&'static str| {
        let entry = written.get(name).filter(|entry| entry.file == file && !is_harmless(entry))?;
        Some((*name, entry.clone()))
    };
    Ok(names.iter().filter_map(of).collect())
}

fn tell(entry: &Entry) {
    tracing::warn!(
        "{} was set to '{}' with ALTER SYSTEM, in {}: it is pg_autoctl's to set, and was reset",
        entry.name,
        entry.value,
        entry.place()
    );
}

/// Takes it back on a server that does not run.
pub(crate) fn erase(config: &InstanceConfig) -> Result<(), PostgresError> {
    let found = found(config, &LAST_WORDS)?;
    if found.is_empty() {
        return Ok(());
    }
    let path = config.in_pgdata(ALTER_SYSTEM_FILE);
    let content = files::read_if_there(&path)?.unwrap_or_default();
    let kept = without(&content, |name| found.iter().any(|(of, _)| *of == name));
    files::replace(&path, kept.as_bytes(), 0o600)?;
    found.iter().for_each(|(_, entry)| tell(entry));
    Ok(())
}

/// Takes it back on a server that runs, which has to be told to reload afterwards. A caller that has a session gives it:
/// the server may refuse another.
pub(in crate::postgres) async fn reset(
    server: &LocalServer,
    name: &'static str,
    given: Option<&Session>,
) -> Result<(), PostgresError> {
    let config = server.config();
    let found = server.files().look("reading postgresql.auto.conf", move || found(&config, &[name])).await?;
    for (name, entry) in found {
        let statement = format!("ALTER SYSTEM RESET {name}");
        match given {
            Some(session) => connection::run(session, "take back ALTER SYSTEM", &statement).await?,
            None => {
                let session = server.any_session().await?;
                connection::run(&session, "take back ALTER SYSTEM", &statement).await?;
            }
        }
        tell(&entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing;

    #[test]
    fn only_what_is_ours_is_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(ALTER_SYSTEM_FILE);
        let content = "# by ALTER SYSTEM\nwork_mem = '8MB'\nsynchronous_standby_names = ''\n";
        std::fs::write(&path, content).expect("written");
        erase(&testing::config(directory.path())).expect("erased");
        let left = std::fs::read_to_string(&path).expect("there");
        assert_eq!(left, "# by ALTER SYSTEM\nwork_mem = '8MB'\n");
    }
}
