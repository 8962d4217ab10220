//! The settings that a formation has for all its nodes: a file of ours, included next to last in postgresql.conf, so that
//! they win over what stands above, and `ALTER SYSTEM` on a node wins over them. A value that this Postgres does not take
//! never comes into the file: a server that is stopped could not start with it.

use std::collections::BTreeMap;
use std::time::Duration;

use pgaf_core::{PostgresSettings, SettingsStatus};

use crate::postgres::server::{
    InstanceConfig, Limit, LocalServer, PostgresError, Program, connection, files,
};

use super::lines::{HEADER, Lines, unquote};
use super::settings::{self, FORMATION_FILE};

/// How long Postgres may take to say whether it takes a value.
const CHECK_DEADLINE: Duration = Duration::from_secs(10);

/// What keeps a setting of ours from being in force: another file, the command line, a role or a database.
const STATUS: &str = "SELECT name, pending_restart, source, coalesce(sourcefile, '') FROM pg_settings \
     WHERE pending_restart OR name = ANY ($1)";

impl LocalServer {
    /// Writes these settings, has a running server take them over, and says what has become of them.
    ///
    /// # Errors
    /// A file cannot be written, or the server cannot be asked.
    pub async fn apply_formation_settings(
        &self,
        wanted: PostgresSettings,
    ) -> Result<SettingsStatus, PostgresError> {
        let config = self.config();
        let read = move || read(&config);
        let present = self.files().look("reading the settings of the formation", read).await?;
        if present.is_none() && wanted.is_empty() {
            return Ok(SettingsStatus::default());
        }
        let present = present.unwrap_or_default();
        let (kept, mut not_applied) = self.check(&present, wanted).await?;
        if kept != present {
            let (config, content) = (self.config(), content(&kept));
            self.files()
                .run("writing the settings of the formation", move || {
                    files::replace(&config.in_pgdata(FORMATION_FILE), content.as_bytes(), 0o600)?;
                    settings::update(&config, |_| {})
                })
                .await?;
            self.reload().await?;
        }
        if self.postmaster().await?.is_none() {
            return Ok(SettingsStatus { not_applied, ..SettingsStatus::default() });
        }
        let names: Vec<&String> = kept.keys().collect();
        let session = self.any_session().await?;
        let rows = connection::rows(&session, "look at the settings", STATUS, &[&names]).await?;
        let mut pending_restart = Vec::new();
        for row in rows {
            let (name, is_pending): (String, bool) = (row.get(0), row.get(1));
            let (source, file): (String, String) = (row.get(2), row.get(3));
            if is_pending {
                pending_restart.push(name);
            } else if kept.contains_key(&name) && !file.ends_with(FORMATION_FILE) {
                let place = if file.is_empty() { source } else { format!("\"{file}\"") };
                not_applied.insert(name, format!("it is set in another place, which wins: {place}"));
            }
        }
        pending_restart.sort_unstable();
        Ok(SettingsStatus { pending_restart, not_applied })
    }

    /// Those that this Postgres takes, and why it does not take the others. What is in the file was checked before.
    async fn check(
        &self,
        present: &PostgresSettings,
        wanted: PostgresSettings,
    ) -> Result<(PostgresSettings, BTreeMap<String, String>), PostgresError> {
        let (mut kept, mut not_applied) = (PostgresSettings::new(), BTreeMap::new());
        for (name, value) in wanted {
            if present.get(&name) != Some(&value)
                && let Some(reason) = self.why_not_taken(&name, &value).await?
            {
                not_applied.insert(name, reason);
                continue;
            }
            kept.insert(name, value);
        }
        Ok((kept, not_applied))
    }

    /// Has the program of the server read its configuration with this value, and say nothing but one setting.
    async fn why_not_taken(&self, name: &str, value: &str) -> Result<Option<String>, PostgresError> {
        // A line break would end the line of the file: no Postgres would start with what follows.
        if pgaf_core::why_not_of_formation(name).is_some() || value.contains(char::is_control) {
            return Ok(Some("it cannot be set for a formation".to_owned()));
        }
        let config = self.config();
        let program = Program::new(&config.bin_dir, "postgres")
            .arg("-D")
            .arg(&config.pgdata)
            .args(["-C", "server_version", "-c"])
            .arg(format!("{name}={value}"));
        let ended = program.finish(Limit::Within(CHECK_DEADLINE)).await?;
        if ended.status.success() {
            return Ok(None);
        }
        let refusal = ended.printed.stderr.lines().find_map(|line| line.split_once("FATAL:"));
        Ok(Some(
            refusal
                .map_or_else(|| "Postgres does not take it".to_owned(), |(_, text)| text.trim().to_owned()),
        ))
    }
}

/// What the file says; `None` when there is none.
fn read(config: &InstanceConfig) -> Result<Option<PostgresSettings>, PostgresError> {
    let content = files::read_if_there(&config.in_pgdata(FORMATION_FILE))?;
    let setting = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), unquote(value)))
    };
    Ok(content.map(|content| content.lines().filter_map(setting).collect()))
}

fn content(settings: &PostgresSettings) -> String {
    let mut lines = Lines::default();
    settings.iter().for_each(|(name, value)| lines.set(name, value));
    format!("{HEADER}{}", lines.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing;

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = testing::config(directory.path());
        assert_eq!(read(&config).expect("read"), None);
        let settings: PostgresSettings =
            [("work_mem", "64MB"), ("search_path", "a, \"b c\""), ("log_line_prefix", "it's \\ %m = ")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        std::fs::write(config.in_pgdata(FORMATION_FILE), content(&settings)).expect("written");
        assert_eq!(read(&config).expect("read"), Some(settings));
    }
}
