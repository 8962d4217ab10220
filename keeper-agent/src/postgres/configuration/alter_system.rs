//! What pg_auto_failover 2.x has set with ALTER SYSTEM. That would overrule our files for ever.

use crate::postgres::server::{LocalServer, PostgresError, connection, files};

use super::settings;
use super::written::{ALTER_SYSTEM_FILE, parse, without};

/// The settings that it sets so.
const SETTINGS: [&str; 2] = ["synchronous_standby_names", "default_transaction_read_only"];

impl LocalServer {
    /// Moves `synchronous_standby_names` to our file, with the same value, and resets what else 2.x has set. What a
    /// commit waits for does not change at any moment: a reload reads both files.
    ///
    /// # Errors
    /// A file cannot be written, or the server that runs refuses.
    pub async fn take_over_alter_system(&self) -> Result<(), PostgresError> {
        let config = self.config();
        let path = config.in_pgdata(ALTER_SYSTEM_FILE);
        let read = move || Ok(files::read_if_there(&path)?.unwrap_or_default());
        let content = self.files().run("reading postgresql.auto.conf", read).await?;
        if !content.lines().filter_map(parse).any(|(name, _)| is_meant(&name)) {
            return Ok(());
        }
        if self.postmaster().await?.is_none() {
            let names = value_of(&content, "synchronous_standby_names").unwrap_or_default();
            let path = config.in_pgdata(ALTER_SYSTEM_FILE);
            let moving = self.files().run("moving settings of pg_autoctl 2.x", move || {
                set_names(&config, names)?;
                files::replace(&path, without(&content, is_meant).as_bytes(), 0o600)
            });
            return moving.await;
        }
        let session = self.any_session().await?;
        let question = "SELECT current_setting('synchronous_standby_names')";
        let names: String = connection::row(&session, "read the settings", question, &[]).await?.get(0);
        let moving = move || set_names(&config, names);
        self.files().run("moving synchronous_standby_names", moving).await?;
        for name in SETTINGS {
            connection::run(
                &session,
                "reset a setting of pg_autoctl 2.x",
                &format!("ALTER SYSTEM RESET {name}"),
            )
            .await?;
        }
        self.reload().await
    }
}

fn set_names(config: &crate::postgres::InstanceConfig, names: String) -> Result<(), PostgresError> {
    settings::update(config, |changing| changing.synchronous_standby_names = names)
}

fn is_meant(name: &str) -> bool {
    SETTINGS.contains(&name)
}

fn value_of(content: &str, name: &str) -> Option<String> {
    content.lines().filter_map(parse).filter(|(of, _)| of == name).map(|(_, value)| value).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_settings_of_2x_are_taken_out() {
        let content = "# comment\nsynchronous_standby_names = 'ANY 1 (a, b)'\nwork_mem = '1MB'\n\
                       default_transaction_read_only = 'off'\n";
        assert_eq!(value_of(content, "synchronous_standby_names").as_deref(), Some("ANY 1 (a, b)"));
        assert_eq!(without(content, is_meant), "# comment\nwork_mem = '1MB'\n");
    }
}
