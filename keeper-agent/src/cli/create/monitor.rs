//! `create monitor`

use std::path::Path;

use super::super::checks;
use super::super::error::{CliError, CliResult};
use super::super::http;
use super::super::options::NewServer;
use super::super::run::{claim, run_monitor};
use super::super::show::uri_of;
use super::super::ssl::make_certificate;
use super::adopt::Adoption;
use super::server::{Earlier, Plan, earlier, failed, make_cluster, take_back, while_running};
use crate::client::describe;
use crate::config::init_file::{self, Before, Progress};
use crate::config::{Config, MonitorConfig, Paths};
use crate::exit::Exit;
use crate::monitor::EXTENSION_VERSION;
use crate::monitor_server::{self, NODE_ROLE};
use crate::postgres::{Instance, LocalSession};
use crate::upgrade;

/// The owner of the monitor's database.
const OWNER: &str = "autoctl";

/// Runs it.
pub(super) async fn run(options: &NewServer) -> CliResult<Exit> {
    checks::not_root("create a monitor")?;
    let pgdata = options.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let present = paths.config.exists().then(|| Config::load(&pgdata)).transpose()?;
    if let Some(Config::Node(_)) = present {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" is a data node already: choose another --pgdata, or remove it with \"pg_autoctl drop node --destroy\"",
            pgdata.display()
        )));
    }
    let claim = claim(&paths, &pgdata)?;
    let is_complete = present.is_some() && pgdata.join("PG_VERSION").is_file();
    let progress = match (earlier(&paths, is_complete)?, present) {
        (Earlier::Complete, Some(Config::Monitor(config))) => {
            tracing::info!("the monitor in \"{}\" is there already", pgdata.display());
            let instance = Instance::new(config.instance());
            if !options.run {
                while_running(&instance, false, complete(&instance, &config)).await?;
                return Ok(Exit::Quit);
            }
            while_running(&instance, true, complete(&instance, &config)).await?;
            return run_monitor(&instance, *config, claim).await;
        }
        (Earlier::Interrupted(progress), _) => Some(progress),
        _ => None,
    };
    let plan = Plan::new(options, &pgdata, progress.map(|progress| progress.pgdata))?;
    let mut config = MonitorConfig::empty(paths);
    plan.fill(&mut config.postgres, &pgdata);
    config.hostname = plan.address(None).await?;
    config.hostname_follows_network = plan.finds_address();
    let instance = Instance::new(config.instance()).patient();
    let mut adoption = None;
    if plan.before == Before::Cluster {
        instance.check_binaries().await.map_err(failed)?;
        let found = Adoption::begin(&instance, options, &mut config.postgres).await?;
        config.postgres.listen_addresses = found.listen_addresses(None, &config.hostname)?;
        adoption = Some(found);
    }
    config.ssl = plan.ssl.clone();
    http::take(&options.http, &mut config.http);
    http::check(&config.clone().into())?;
    init_file::store(&config.paths.init, &Progress { pgdata: plan.before, is_registering: false })?;
    instance.reconfigure(config.instance());
    if let Err(error) = make(&instance, &mut config, &plan, adoption.as_ref(), options.run).await {
        take_back(&config.paths, &pgdata, plan.before);
        return Err(error);
    }
    tracing::info!("the monitor is made, nodes reach it at {}", uri_of(&config));
    if options.run {
        return run_monitor(&instance, config, claim).await;
    }
    say_how_to_go_on(&pgdata);
    Ok(Exit::Quit)
}

fn say_how_to_go_on(pgdata: &Path) {
    tracing::info!("run it with: pg_autoctl run --pgdata {}", pgdata.display());
}

async fn make(
    instance: &Instance,
    config: &mut MonitorConfig,
    plan: &Plan,
    adoption: Option<&Adoption>,
    keeps_running: bool,
) -> CliResult {
    make_certificate(instance, &mut config.ssl).await.map_err(failed)?;
    config.store()?;
    http::prepare(&config.clone().into())?;
    instance.reconfigure(config.instance());
    if let Some(adoption) = adoption {
        adoption.bring_in(instance).await?;
    }
    make_cluster(instance, plan.before, &plan.initdb_options).await?;
    monitor_server::apply(instance, config).await.map_err(failed)?;
    if let Some(adoption) = adoption {
        adoption.finish(instance, config.postgres.port).await?;
    }
    while_running(instance, keeps_running, complete(instance, config)).await?;
    init_file::remove(&config.paths.init).map_err(CliError::from)
}

/// Makes what is in the server: the database, the extension, the role.
async fn complete(instance: &Instance, config: &MonitorConfig) -> CliResult {
    let dbname = &config.postgres.dbname;
    instance.ensure_role(OWNER, Default::default(), None).await.map_err(failed)?;
    instance.ensure_database(dbname, OWNER).await.map_err(failed)?;
    let session = instance.session(dbname).await.map_err(failed)?;
    make_extension(&session).await?;
    upgrade::bring_up_to_date(&session).await?;
    instance.ensure_role(NODE_ROLE, Default::default(), None).await.map_err(failed)
}

async fn make_extension(session: &LocalSession) -> CliResult {
    // The default version is that of 2.x while a monitor of 2.x runs on this machine.
    let statement = format!(
        "CREATE EXTENSION IF NOT EXISTS pgautofailover SCHEMA public VERSION '{EXTENSION_VERSION}' CASCADE"
    );
    session.batch_execute(&statement).await.map_err(|error| {
        CliError::new(
            Exit::ExtensionMissing,
            format!(
                "the extension pgautofailover cannot be made: {}; is it installed for this Postgres, and in the same version as pg_autoctl?",
                describe(&error)
            ),
        )
    })
}
