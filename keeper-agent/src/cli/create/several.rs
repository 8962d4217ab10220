//! `create monitor --peers`, `create monitor --join`: a monitor that is one of several, from the beginning or later.
//!
//! Nothing is made but its configuration, its certificate and an empty log: what its Postgres shall be is agreed when a
//! majority of the monitors runs. One that comes later is given a number, and joins when it runs.

use std::path::{Path, PathBuf};

use super::super::checks;
use super::super::commands::NewMonitor;
use super::super::error::{CliError, CliResult};
use super::super::run::run_monitor;
use super::super::ssl::make_certificate;
use super::server::{Passwords, ServerSpec, failed, take_back};
use crate::config::init_file::PgdataContent;
use crate::config::pid_file::PidFile;
use crate::config::{Member, MonitorConfig, MonitorsConfig, Paths, parse_address, parse_members};
use crate::exit::Exit;
use crate::monitor_peer;
use crate::monitors::{Admission, Token, admit, create_store};
use crate::postgres::Instance;

/// Makes it, and runs it when asked to.
pub(super) async fn run(new: &NewMonitor, paths: Paths, claim: PidFile) -> CliResult<Exit> {
    let pgdata = new.server.pgdata.required()?;
    if std::env::var_os("PG_AUTOCTL_DEBUG").is_none() {
        return Err(CliError::bad_arguments("--peers and --join are for trials only so far"));
    }
    let token =
        new.join_token_file.as_deref().ok_or_else(|| CliError::bad_arguments("give --join-token-file"))?;
    let token = if new.join.is_some() { Token::present(token) } else { Token::of_file(token) };
    let token = token.map_err(CliError::bad_arguments)?;
    let mut config = MonitorConfig::empty(paths);
    describe(new, &mut config, &pgdata)?;
    let own = own_address(new, &mut config).await?;
    if let Err(error) = make(new, &mut config, own, &token).await {
        take_back(&config.paths, &pgdata, PgdataContent::Empty);
        return Err(error);
    }
    tracing::info!("created monitor \"{}\"", named(new)?);
    go_on(new, config, claim).await
}

/// What the options say of its server; a witness has none.
fn describe(new: &NewMonitor, config: &mut MonitorConfig, pgdata: &Path) -> CliResult {
    let options = &new.server;
    if !options.initdb_options.is_empty() {
        return Err(CliError::bad_arguments("--initdb-options cannot be given for one of several monitors"));
    }
    if new.witness {
        pgdata.clone_into(&mut config.postgres.pgdata);
        config.postgres.pg_ctl = options.pgctl.clone().unwrap_or_else(|| PathBuf::from("pg_ctl"));
        return Ok(());
    }
    let spec = ServerSpec::new(options, pgdata, None)?;
    if spec.before != PgdataContent::Empty {
        return Err(CliError::bad_arguments(format!(
            "\"{}\" has a cluster: one of several monitors begins with an empty directory",
            pgdata.display()
        )));
    }
    if spec.passwords == Passwords::OfMonitor {
        return Err(CliError::bad_arguments("give --auth: one of several monitors makes no passwords"));
    }
    spec.fill(&mut config.postgres, pgdata);
    config.ssl = spec.ssl;
    Ok(())
}

/// Where its agent listens, and its server.
async fn own_address(new: &NewMonitor, config: &mut MonitorConfig) -> CliResult<Member> {
    let given = new.server.hostname.as_deref();
    let member = if new.join.is_some() {
        let host = match given {
            Some(given) => checks::given_hostname(given)?,
            None => checks::found_hostname(None).await?,
        };
        Member::at_default_port(named(new)?, host)
    } else {
        if given.is_some() {
            return Err(CliError::bad_arguments("--peers says where this monitor is: leave --hostname out"));
        }
        let monitors = founders(new)?;
        let (_, member) = monitors.own().cloned().ok_or_else(|| {
            CliError::bad_arguments(format!("--peers does not have \"{}\", which --name says", monitors.name))
        })?;
        config.monitors = Some(monitors);
        member
    };
    config.hostname = checks::given_hostname(&member.host)?;
    Ok(member)
}

fn named(new: &NewMonitor) -> CliResult<String> {
    new.name.clone().ok_or_else(|| CliError::bad_arguments("give --name"))
}

/// It is there already.
pub(super) async fn again(new: &NewMonitor, config: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    let known = config.monitors.as_ref();
    let is_other = new.name.is_some() && new.name.as_ref() != known.map(|monitors| &monitors.name);
    if is_other {
        return Err(CliError::bad_arguments(
            "this monitor was created with another --name: drop it first, with \"pg_autoctl drop monitor --destroy\"",
        ));
    }
    go_on(new, config, claim).await
}

async fn go_on(new: &NewMonitor, config: MonitorConfig, claim: PidFile) -> CliResult<Exit> {
    if new.server.run {
        let instance = Instance::new(config.instance());
        return run_monitor(&instance, config, claim).await;
    }
    tracing::info!("run it with: pg_autoctl run --pgdata {}", config.postgres.pgdata.display());
    Ok(Exit::Quit)
}

/// All that begin together.
fn founders(new: &NewMonitor) -> CliResult<MonitorsConfig> {
    let peers = new.peers.as_deref().ok_or_else(|| CliError::bad_arguments("give --peers or --join"))?;
    let members = parse_members(peers).map_err(CliError::bad_arguments)?;
    let monitors =
        MonitorsConfig { name: named(new)?, members, is_witness: new.witness, ..MonitorsConfig::default() };
    match monitors.members.len() {
        3 => Ok(monitors),
        count => Err(CliError::bad_arguments(format!(
            "--peers names {count} monitors: there are three, of which one can be lost"
        ))),
    }
}

async fn make(new: &NewMonitor, config: &mut MonitorConfig, own: Member, token: &Token) -> CliResult {
    let bad_state = |reason: String| CliError::new(Exit::BadState, reason);
    if !new.witness {
        let instance = Instance::new(config.instance());
        instance.check_binaries().await.map_err(failed)?;
        make_certificate(&instance, &mut config.ssl).await.map_err(failed)?;
    }
    let identity = monitor_peer::identity(config);
    identity.create(token, &own.name).map_err(bad_state)?;
    if let Some(contact) = &new.join {
        let (host, port) = parse_address(contact).map_err(CliError::bad_arguments)?;
        let contact = Member { name: String::new(), host, port };
        let admitted = admit(&identity, contact, &own.name, own.address()).await;
        let Admission { id, mut members } = admitted.map_err(|reason| {
            CliError::new(Exit::Monitor, format!("could not join the monitors: {reason}"))
        })?;
        let name = own.name.clone();
        members.push((id, own));
        let (has_joined, is_witness) = (true, new.witness);
        config.monitors =
            Some(MonitorsConfig { name, members, has_joined, is_witness, ..MonitorsConfig::default() });
    }
    create_store(&monitor_peer::store(config)).map_err(|error| bad_state(error.to_string()))?;
    Ok(config.store()?)
}
