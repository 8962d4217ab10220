//! Looks after the monitor's Postgres while it runs: whether it can do its work, and whether keepers may connect.
//!
//! A server that runs without our library, without the extension or without its worker answers queries, and no failover
//! ever happens. So that is said again and again, and the program does not end with success.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::MonitorConfig;
use crate::exit::Exit;
use crate::monitor::{EXTENSION_VERSION, LIBRARY};
use crate::own_address;
use crate::postgres::{HbaEntry, Instance, PostgresError};
use crate::upgrade;

/// Between two looks; the worker needs a moment to start.
const PERIOD: Duration = Duration::from_secs(5);
/// Trouble that stays is said again after this long.
const REPEAT: Duration = Duration::from_secs(60);

const QUESTION: &str = "\
SELECT pg_catalog.current_setting('shared_preload_libraries'),
       (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pgautofailover'),
       pg_catalog.pg_is_in_recovery(),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
         WHERE backend_type = 'pgautofailover worker' AND datname = pg_catalog.current_database())";

/// Settings of ours with values that Postgres does not accept: it keeps those of before, or its defaults.
const IGNORED: &str = "\
SELECT pg_catalog.format('%s = ''%s'' in \"%s\" line %s is ignored: %s; %s is used',
                         f.name, f.setting, f.sourcefile, f.sourceline, f.error, s.setting || coalesce(s.unit, ''))
  FROM pg_catalog.pg_file_settings f JOIN pg_catalog.pg_settings s USING (name)
 WHERE f.error IS NOT NULL AND f.name LIKE 'pgautofailover.%'";

/// Why the monitor cannot do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    what: String,
    exit: Exit,
}

/// What a monitor is among the monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Only,
    /// Its server may be a standby, and follows.
    OneOfSeveral,
}

/// What was seen last.
#[derive(Debug)]
pub(crate) struct Watch {
    place: Place,
    trouble: Option<Trouble>,
    told_at: Option<Instant>,
    ignored: Vec<String>,
}

impl Watch {
    pub(crate) const fn of_the_only_one() -> Self {
        Self::new(Place::Only)
    }

    pub(crate) const fn of_one_of_several() -> Self {
        Self::new(Place::OneOfSeveral)
    }

    const fn new(place: Place) -> Self {
        Self { place, trouble: None, told_at: None, ignored: Vec::new() }
    }

    /// What the program ends with, when it is told to end.
    pub(crate) fn exit(&self) -> Exit {
        self.trouble.as_ref().map_or(Exit::Quit, |trouble| trouble.exit)
    }

    /// Looks every few seconds, until this machine is called otherwise than the configuration says: gives that name.
    pub(crate) async fn look_after(
        &mut self,
        instance: &Instance,
        config: &MonitorConfig,
        entries: &[HbaEntry],
    ) -> String {
        let dbname = &config.postgres.dbname;
        loop {
            if let Some(hostname) = new_hostname(config).await {
                return hostname;
            }
            sleep(PERIOD).await;
            if self.place == Place::OneOfSeveral && !instance.is_postmaster_running().await {
                continue;
            }
            if let Err(error) = keep_entries(instance, entries).await {
                tracing::warn!("could not check pg_hba.conf: {error}");
            }
            match trouble(instance, dbname, self.place).await {
                Ok(trouble) => self.note(trouble),
                // It starts, or is full: its keepers see that as well.
                Err(error) => tracing::debug!("could not check the monitor's Postgres: {error}"),
            }
            match ignored_settings(instance).await {
                Ok(ignored) => self.note_ignored(ignored),
                Err(error) => tracing::debug!("could not check the settings: {error}"),
            }
        }
    }

    fn note(&mut self, trouble: Option<Trouble>) {
        match &trouble {
            Some(Trouble { what, .. }) => {
                let is_old = self.trouble == trouble && self.told_at.is_some_and(|at| at.elapsed() < REPEAT);
                if !is_old {
                    tracing::error!("this monitor cannot do its work: {what}");
                    self.told_at = Some(Instant::now());
                }
            }
            None if self.trouble.is_some() => tracing::info!("this monitor does its work again"),
            None => {}
        }
        self.trouble = trouble;
    }

    fn note_ignored(&mut self, ignored: Vec<String>) {
        for sentence in ignored.iter().filter(|sentence| !self.ignored.contains(sentence)) {
            tracing::warn!("{sentence}");
        }
        self.ignored = ignored;
    }
}

async fn new_hostname(config: &MonitorConfig) -> Option<String> {
    if !config.hostname_follows_network {
        return None;
    }
    own_address::new_hostname(&config.hostname, None).await
}

/// A tool may have replaced pg_hba.conf, and the network may be another one.
async fn keep_entries(instance: &Instance, entries: &[HbaEntry]) -> Result<(), PostgresError> {
    if instance.write_hba(entries).await? {
        tracing::warn!(
            "pg_hba.conf did not have the entries for keepers, or had those of another network: they were written again"
        );
        instance.reload().await?;
    }
    Ok(())
}

async fn trouble(instance: &Instance, dbname: &str, place: Place) -> Result<Option<Trouble>, PostgresError> {
    let session = instance.session(dbname).await?;
    let row = session
        .query_one(QUESTION, &[])
        .await
        .map_err(PostgresError::sql("look at the monitor's database"))?;
    let (libraries, version): (&str, Option<&str>) = (row.get(0), row.get(1));
    let is_standby: bool = row.get(2);
    if is_standby && place == Place::OneOfSeveral {
        return Ok(None);
    }
    let is_of_another_version = version.is_some_and(|version| version != EXTENSION_VERSION);
    if is_of_another_version && place == Place::OneOfSeveral {
        // It has been promoted, by a program that is newer than the one that ran before.
        return Ok(upgrade::bring_up_to_date(&session)
            .await
            .err()
            .map(|error| Trouble { what: error.to_string(), exit: error.exit() }));
    }
    let trouble = |exit, what: String| Some(Trouble { what, exit });
    Ok(match version {
        _ if !libraries.contains(LIBRARY) => trouble(
            Exit::ExtensionMissing,
            format!("shared_preload_libraries is '{libraries}', without {LIBRARY}: restart it with pg_autoctl"),
        ),
        None => trouble(
            Exit::ExtensionMissing,
            format!("database \"{dbname}\" has no extension pgautofailover: run \"pg_autoctl create monitor\" again"),
        ),
        Some(other) if other != EXTENSION_VERSION => trouble(
            Exit::ExtensionMissing,
            format!("the extension is of version {other}, pg_autoctl is of version {EXTENSION_VERSION}"),
        ),
        _ if is_standby => {
            trouble(Exit::Monitor, "its Postgres is a standby, and cannot record anything".to_owned())
        }
        _ if row.get::<_, i64>(3) == 0 => trouble(
            Exit::Monitor,
            "its worker, which probes the nodes, does not run: see the log of Postgres, and whether max_worker_processes is high enough".to_owned(),
        ),
        _ => None,
    })
}

async fn ignored_settings(instance: &Instance) -> Result<Vec<String>, PostgresError> {
    let session = instance.session("template1").await?;
    let rows = session.query(IGNORED, &[]).await.map_err(PostgresError::sql("look at the settings"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
