//! The monitor's own Postgres: kept running, with what keepers need to connect to it.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use pgaf_core::keeper::{HookKind, Step, StopMode};
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::error::SqlState;

use crate::config::{Config, MonitorConfig};
use crate::exit::Exit;
use crate::hooks::Hooks;
use crate::http::{Http, MonitorSite, Settings, feed};
use crate::monitor::LIBRARY;
use crate::monitor_database::{self, NODE_ROLE};
use crate::monitor_events::EventFeed;
use crate::monitor_watch::Watch;
use crate::postgres::{HbaAddress, HbaEntry, Instance, PostgresError};
use crate::supervisor;
use crate::upgrade::{self, ExtensionError};

/// While the server does not accept connections yet, it is asked again this often.
const CONNECT_RETRY: Duration = Duration::from_millis(100);

/// After a failed start, the next one is tried this much later.
const START_RETRY: Duration = Duration::from_secs(1);

/// Who may connect to the monitor's database: keepers, from the local network and from this machine.
pub(crate) fn hba_entries(config: &MonitorConfig) -> Vec<HbaEntry> {
    let entry = |address: HbaAddress| HbaEntry {
        database: config.postgres.dbname.clone(),
        user: NODE_ROLE.to_owned(),
        address,
        method: config.postgres.auth_method,
    };
    let host = |address: &str| entry(HbaAddress::Host(address.to_owned()));
    vec![entry(HbaAddress::Lan), host("127.0.0.1/32"), host("::1/128")]
}

/// Puts the configuration into Postgres's files, and in force when it runs.
///
/// # Errors
/// A file cannot be written, or the server does not take it over.
pub async fn apply(instance: &Instance, config: &MonitorConfig) -> Result<(), PostgresError> {
    instance.write_settings().await?;
    instance.write_hba(&hba_entries(config)).await?;
    if instance.is_postmaster_running().await {
        instance.reload().await?;
    }
    Ok(())
}

/// Why the monitor's Postgres cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum MonitorServerError {
    /// The server.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// What is in it.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
}

impl MonitorServerError {
    /// What the program ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Postgres(_) => Exit::PgCtl,
            Self::Extension(error) => error.exit(),
        }
    }
}

enum Wake {
    Exited,
    Retry,
    Reload,
    Moved(String),
    Stop(StopMode),
    Unusable(ExtensionError),
}

/// Runs Postgres until told to stop; whenever it ends by itself, it is started again.
///
/// # Errors
/// Only what makes it impossible to begin, or to stop.
pub async fn run(instance: &Instance, mut config: MonitorConfig) -> Result<Exit, MonitorServerError> {
    let listen = |kind| {
        signal(kind).map_err(|error| PostgresError::Refused(format!("cannot receive signals: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut quit = listen(SignalKind::quit())?;
    let mut hangup = listen(SignalKind::hangup())?;
    // What was changed before that was told to nobody.
    if let Ok(Config::Monitor(newest)) = Config::load(&config.postgres.pgdata) {
        config = *newest;
        instance.reconfigure(config.instance());
    }
    instance.check_binaries().await?;
    // A server that still recovers cannot be asked whether it has taken the files over; it reads them anyway.
    if let Err(error) = apply(instance, &config).await {
        tracing::warn!("{error}");
    }
    let pgdata = config.postgres.pgdata.clone();
    replace_library(instance).await?;
    let (mut watch, mut events, hooks) = (Watch::of_the_only_one(), EventFeed::default(), Hooks::default());
    let mut page = Page::new(&config);
    loop {
        let has_started = async {
            let is_running = start(instance).await;
            if is_running {
                if let Err(error) = update_extension(instance, &config.postgres.dbname).await {
                    return Wake::Unusable(error);
                }
                // It may have been configured while this monitor did not run.
                if let Err(error) = keep_password(instance, &config).await {
                    tracing::warn!("{error}");
                }
                supervisor::ready();
                let entries = hba_entries(&config);
                let (dbname, hook) = (&config.postgres.dbname, config.hooks.get(&HookKind::Event));
                tokio::select! {
                    exit = instance.exited() => {
                        tracing::warn!("Postgres has ended ({exit:?}), starting it again");
                        Wake::Exited
                    }
                    hostname = watch.look_after(instance, &config, &entries) => Wake::Moved(hostname),
                    never = events.follow(instance, dbname, hook, &hooks) => match never {},
                }
            } else {
                tokio::time::sleep(START_RETRY).await;
                Wake::Retry
            }
        };
        let wake = tokio::select! {
            biased;
            _ = quit.recv() => Wake::Stop(StopMode::Immediate),
            _ = terminate.recv() => Wake::Stop(StopMode::Fast),
            _ = interrupt.recv() => Wake::Stop(StopMode::Fast),
            _ = hangup.recv() => Wake::Reload,
            never = page.feed.as_mut() => match never {},
            wake = has_started => wake,
        };
        match wake {
            Wake::Exited | Wake::Retry => {}
            Wake::Reload => {
                config = reload(instance, &pgdata).await.unwrap_or(config);
                page.reconfigure(&config);
            }
            Wake::Moved(hostname) => move_to(instance, &mut config, hostname).await,
            Wake::Stop(mode) => {
                supervisor::stopping();
                tracing::info!("stopping Postgres");
                let (stop, now) = (Step::StopPostgres(mode), Step::StopPostgres(StopMode::Immediate));
                tokio::select! {
                    stopped = instance.execute(&stop) => stopped?,
                    // A clean stop may take long.
                    _ = quit.recv() => {
                        tracing::info!("stopping Postgres immediately");
                        instance.execute(&now).await?;
                    }
                }
                hooks.finish().await;
                return Ok(watch.exit());
            }
            Wake::Unusable(error) => {
                tracing::info!("stopping Postgres");
                instance.execute(&Step::StopPostgres(StopMode::Fast)).await?;
                return Err(error.into());
            }
        }
    }
}

/// What is served over HTTP, and what keeps it up to date.
struct Page {
    site: MonitorSite,
    http: Option<Http>,
    feed: Pin<Box<dyn Future<Output = Infallible>>>,
}

impl Page {
    fn new(config: &MonitorConfig) -> Self {
        let mut page = Self { site: MonitorSite::new(), http: None, feed: Box::pin(std::future::pending()) };
        page.reconfigure(config);
        page
    }

    /// Nothing is read as long as nothing is served.
    fn reconfigure(&mut self, config: &MonitorConfig) {
        let settings = Settings {
            http: config.http.clone(),
            ssl: config.ssl.clone(),
            secret: config.paths.http_secret(),
        };
        let is_wanted = settings.http.listen.is_some();
        match &self.http {
            Some(http) => http.reconfigure(settings),
            None if is_wanted => self.http = Some(self.site.serve(settings)),
            None => {}
        }
        let (postgres, site) = (config.postgres.clone(), self.site.clone());
        self.feed =
            match is_wanted {
                true => Box::pin(async move {
                    feed(&postgres.pgdata, &postgres.username, &postgres.dbname, &site).await
                }),
                false => Box::pin(std::future::pending()),
            };
    }
}

/// Gives the role that keepers connect as the password that is configured.
async fn keep_password(instance: &Instance, config: &MonitorConfig) -> Result<(), PostgresError> {
    if config.node_password.is_none() || !instance.is_postmaster_running().await {
        return Ok(());
    }
    monitor_database::keep_password(instance, config).await
}

/// A server that was left running by 2.x has the library of 2.x, and has to start again.
async fn replace_library(instance: &Instance) -> Result<(), PostgresError> {
    if !instance.is_postmaster_running().await {
        return Ok(());
    }
    let Ok(session) = instance.session("template1").await else {
        // It begins or recovers, with the settings of now.
        return Ok(());
    };
    let libraries = match session.query_one("SHOW shared_preload_libraries", &[]).await {
        Ok(row) => row.get::<_, String>(0),
        Err(error) => {
            tracing::warn!("could not read shared_preload_libraries: {error}");
            return Ok(());
        }
    };
    drop(session);
    if !libraries.contains(LIBRARY) {
        tracing::info!("restarting Postgres with the library {LIBRARY} (was {libraries})");
        instance.execute(&Step::StopPostgres(StopMode::Fast)).await?;
    }
    Ok(())
}

/// Brings the extension to the version of this program, once the server accepts connections or has ended.
async fn update_extension(instance: &Instance, dbname: &str) -> Result<(), ExtensionError> {
    let mut is_told = false;
    while instance.is_postmaster_running().await {
        match instance.session(dbname).await {
            Ok(session) => return upgrade::bring_up_to_date(&session).await,
            Err(error) if error.sqlstate() == Some(&SqlState::INVALID_CATALOG_NAME) => return Ok(()),
            Err(error) if !is_told => {
                tracing::debug!("could not read the version of the extension yet: {error}");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(CONNECT_RETRY).await;
    }
    Ok(())
}

/// Starts Postgres unless it runs; false when that failed.
async fn start(instance: &Instance) -> bool {
    if instance.is_postmaster_running().await {
        return true;
    }
    match instance.execute(&Step::StartPostgres).await {
        Ok(()) => {
            tracing::info!("Postgres of the monitor runs");
            true
        }
        Err(error) => {
            tracing::error!("{error}; retrying");
            false
        }
    }
}

/// Follows another name of this machine. Keepers have the name in the URI that they were given, which people keep right.
async fn move_to(instance: &Instance, config: &mut MonitorConfig, hostname: String) {
    tracing::info!("this machine is called \"{hostname}\" now (was \"{}\")", config.hostname);
    config.hostname = hostname;
    if let Err(error) = config.store() {
        tracing::warn!("could not save the new host name: {error}");
    }
    instance.reconfigure(config.instance());
    if let Err(error) = apply(instance, config).await {
        tracing::warn!("{error}");
    }
}

/// A configuration that cannot be used leaves everything as it is.
async fn reload(instance: &Instance, pgdata: &std::path::Path) -> Option<MonitorConfig> {
    let config = match Config::load(pgdata) {
        Ok(Config::Monitor(config)) => config,
        Ok(Config::Node(_)) => {
            tracing::error!("not reloaded: the configuration is that of a data node");
            return None;
        }
        Err(error) => {
            tracing::error!("not reloaded: {error}");
            return None;
        }
    };
    instance.reconfigure(config.instance());
    let applied = async {
        apply(instance, &config).await?;
        keep_password(instance, &config).await
    };
    match applied.await {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(error) => tracing::error!("not reloaded: {error}"),
    }
    Some(*config)
}
