//! What making a monitor and making a node have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgaf_core::NodeKind;
use pgaf_core::keeper::{Step, StopMode};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

use super::super::checks;
use super::super::error::{CliError, CliResult};
use super::super::options::NewServer;
use crate::citus;
use crate::client::{ConnectionString, describe};
use crate::config::init_file::{self, PgdataContent, Progress};
use crate::config::{AuthMethod, HbaLevel, NodeConfig, Paths, PostgresConfig, SslConfig};
use crate::exit::Exit;
use crate::files::atomic;
use crate::postgres::{Instance, PostgresError};
use crate::user;

/// How long a server that was started may take to accept connections.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What was found of an earlier `create`.
pub(super) enum Earlier {
    /// Nothing: this is the first.
    None,
    /// It was interrupted.
    Interrupted(Progress),
    /// It is done.
    Complete,
}

/// Looks for an earlier `create` for the same PGDATA.
pub(super) fn earlier(paths: &Paths, is_complete: bool) -> CliResult<Earlier> {
    Ok(match init_file::load(&paths.init)? {
        Some(progress) => Earlier::Interrupted(progress),
        None if is_complete => Earlier::Complete,
        None => Earlier::None,
    })
}

/// What the options say of the server; everything is checked, nothing is made.
pub(super) struct ServerSpec {
    /// For a cluster that is to be made.
    pub(super) initdb_options: Vec<String>,
    pub(super) before: PgdataContent,
    pub(super) hostname: Option<String>,
    pub(super) ssl: SslConfig,
    pub(super) pg_ctl: PathBuf,
    pub(super) port: u16,
    pub(super) listen_addresses: Option<String>,
    pub(super) auth_method: AuthMethod,
    pub(super) passwords: Passwords,
    pub(super) hba_level: HbaLevel,
}

/// Who makes the passwords that nodes and the monitor have for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passwords {
    /// The monitor: nobody has said how connections authenticate.
    OfMonitor,
    /// Whoever has chosen the method.
    OfOwner,
}

impl ServerSpec {
    /// Checks the options; `before` is known when an earlier `create` was interrupted. An address that is not given is found
    /// out later: the way to the monitor may not be there yet.
    pub(super) fn new(options: &NewServer, pgdata: &Path, before: Option<PgdataContent>) -> CliResult<Self> {
        let ssl = super::super::ssl::of_new_server(&options.ssl)?;
        let port = options.pgport.unwrap_or(5432);
        let pg_ctl = checks::find_pg_ctl(options.pgctl.as_deref())?;
        let before = match before {
            Some(before) => before,
            None => checks::inspect_pgdata(pgdata)?,
        };
        if before == PgdataContent::Empty && crate::postgres::local_address(pgdata).is_none() {
            checks::port_is_free(port)?;
        }
        let given = options.hostname.as_deref();
        let hostname = given.map(checks::given_hostname).transpose()?;
        let (auth_method, passwords) = match options.auth {
            Some(chosen) => (chosen, Passwords::OfOwner),
            // Who writes pg_hba.conf chooses there.
            None if options.skip_pg_hba => (AuthMethod::Trust, Passwords::OfOwner),
            None => (AuthMethod::ScramSha256, Passwords::OfMonitor),
        };
        let hba_level = if options.skip_pg_hba || auth_method == AuthMethod::Skip {
            HbaLevel::None
        } else {
            HbaLevel::Minimal
        };
        let initdb_options = initdb_options(&options.initdb_options)?;
        let listen_addresses = options.listen.clone();
        Ok(Self {
            initdb_options,
            before,
            hostname,
            ssl,
            pg_ctl,
            port,
            listen_addresses,
            auth_method,
            passwords,
            hba_level,
        })
    }

    /// The address of this machine, as nodes and the monitor reach it.
    pub(super) async fn address(&self, monitor: Option<&ConnectionString>) -> CliResult<String> {
        match &self.hostname {
            Some(hostname) => Ok(hostname.clone()),
            None => checks::found_hostname(monitor).await,
        }
    }

    /// Nobody has said how this machine is reached.
    pub(super) const fn finds_address(&self) -> bool {
        self.hostname.is_none()
    }

    /// Fills in the part of the configuration that both kinds of server have.
    pub(super) fn fill(&self, postgres: &mut PostgresConfig, pgdata: &Path) {
        pgdata.clone_into(&mut postgres.pgdata);
        self.pg_ctl.clone_into(&mut postgres.pg_ctl);
        postgres.port = self.port;
        if let Some(listen) = &self.listen_addresses {
            postgres.listen_addresses.clone_from(listen);
        }
        postgres.auth_method = self.auth_method;
        postgres.hba_level = self.hba_level;
        // The user who makes a cluster is its superuser, as with initdb.
        postgres.username = user::name().unwrap_or_else(|| "postgres".to_owned());
        postgres.host = socket_directory();
    }
}

fn socket_directory() -> Option<String> {
    std::env::var("PG_REGRESS_SOCK_DIR").ok().filter(|directory| !directory.is_empty())
}

/// The words of `--initdb-options`. What an option of ours says is not said twice.
fn initdb_options(text: &str) -> CliResult<Vec<String>> {
    let words = shlex::split(text)
        .ok_or_else(|| CliError::bad_arguments("--initdb-options has a quote that is not closed"))?;
    let is_ours = |word: &String| {
        ["--pgdata", "--username", "--auth", "-D", "-U", "-A"].iter().any(|ours| word.starts_with(ours))
    };
    match words.iter().find(|word| is_ours(word)) {
        None => Ok(words),
        Some(word) => Err(CliError::bad_arguments(format!(
            "--initdb-options cannot have \"{word}\": give --pgdata, --username and --auth to pg_autoctl"
        ))),
    }
}

/// Makes the cluster unless there is one, and its certificate.
pub(super) async fn make_cluster(
    instance: &Instance,
    before: PgdataContent,
    initdb_options: &[String],
) -> CliResult {
    let has_cluster = instance.config().pgdata.join("PG_VERSION").is_file();
    if before == PgdataContent::Empty && !has_cluster {
        tracing::info!("creating a new cluster in \"{}\"", instance.config().pgdata.display());
        instance.initdb_with(initdb_options).await.map_err(|error| {
            if error.is_disk_full() { disk_full(&instance.config().pgdata) } else { failed(error) }
        })?;
    }
    instance.check_binaries().await.map_err(failed)
}

/// The cluster of a node that is going to be the first primary of its group, with the roles that others need there.
pub(in crate::cli) async fn make_primary(
    instance: &Instance,
    config: &NodeConfig,
    before: PgdataContent,
    initdb_options: &[String],
) -> CliResult {
    make_cluster(instance, before, initdb_options).await?;
    instance.write_settings().await.map_err(failed)?;
    instance.write_hba(&[]).await.map_err(failed)?;
    let postgres = &config.postgres;
    while_running(instance, false, async {
        if instance.is_postmaster_running().await {
            instance.reload().await.map_err(failed)?;
        }
        instance.ensure_database(&postgres.dbname, &postgres.username).await.map_err(failed)?;
        if before == PgdataContent::Empty {
            instance.ensure_statement_statistics(&postgres.dbname).await;
        }
        if config.kind != NodeKind::Standalone {
            make_citus(instance, &postgres.dbname).await?;
        }
        instance.ensure_replication_roles().await.map_err(failed)
    })
    .await
}

async fn make_citus(instance: &Instance, dbname: &str) -> CliResult {
    let session = instance.session(dbname).await.map_err(failed)?;
    let statement = format!("CREATE EXTENSION IF NOT EXISTS {}", citus::EXTENSION);
    session.batch_execute(&statement).await.map_err(|error| {
        let reason = describe(&error);
        CliError::new(Exit::ExtensionMissing, format!("could not create extension citus: {reason}"))
    })
}

fn disk_full(pgdata: &Path) -> CliError {
    CliError::new(
        Exit::PgCtl,
        format!(
            "no space is left on the device that holds \"{}\": free some, and run this command again",
            pgdata.display()
        ),
    )
}

/// Does something with a server that runs, and leaves it running only when it did before or when asked to.
pub(super) async fn while_running<T>(
    instance: &Instance,
    keeps_running: bool,
    work: impl Future<Output = CliResult<T>>,
) -> CliResult<T> {
    let was_running = instance.is_postmaster_running().await;
    if !was_running {
        instance.execute(&Step::StartPostgres).await.map_err(failed)?;
        await_connections(instance).await?;
    }
    let result = work.await;
    let is_wanted = was_running || (keeps_running && result.is_ok());
    if !is_wanted {
        instance.execute(&Step::StopPostgres(StopMode::Fast)).await.map_err(failed)?;
    }
    result
}

/// The step that starts a server leaves one alone that needs longer than a second, on a busy machine for example.
async fn await_connections(instance: &Instance) -> CliResult {
    let give_up = Instant::now() + STARTED_WITHIN;
    loop {
        let Err(error) = instance.session("postgres").await else {
            return Ok(());
        };
        match error.sqlstate() {
            None | Some(&SqlState::CANNOT_CONNECT_NOW) => {}
            // It accepts connections, if not this one.
            Some(_) => return Ok(()),
        }
        if Instant::now() >= give_up || !instance.is_postmaster_running().await {
            return Err(failed(error));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Takes back what a failed `create` made, so that nothing half-made is left.
pub(super) fn take_back(paths: &Paths, pgdata: &Path, before: PgdataContent) {
    let data = match before {
        PgdataContent::Empty => atomic::remove_tree(pgdata),
        PgdataContent::Cluster => Ok(()),
    };
    let removed = data.and_then(|()| paths.remove_all());
    if let Err(error) = removed {
        tracing::warn!("could not remove what was created: {error}");
    }
}

/// An error of the local Postgres, as the command's.
pub(super) fn failed(error: PostgresError) -> CliError {
    let message = error.to_string();
    let is_library_missing = message.contains("could not access file \"pgautofailover3\"");
    if is_library_missing {
        return CliError::new(
            Exit::ExtensionMissing,
            "the extension pgautofailover is not installed for this Postgres: install it, or give --pgctl of the Postgres that has it",
        );
    }
    if message.contains("could not access file \"citus\"") {
        return CliError::new(
            Exit::ExtensionMissing,
            "the extension citus is not installed for this Postgres: install it, or give --pgctl of the Postgres that has it",
        );
    }
    CliError::new(Exit::PgCtl, message)
}
