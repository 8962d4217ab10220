//! `do service …`: the parts of what runs a node. 2.x has a process for each of them; here it is one.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use pgaf_core::keeper::{Step, StopMode};
use tokio::signal::unix::{SignalKind, signal};

use super::super::commands::{Getpid, Restart, Service};
use super::super::error::{CliError, CliResult};
use super::super::options::Pgdata;
use super::super::{print, process};
use super::pgsetup;
use crate::config::Config;
use crate::exit::Exit;
use crate::postgres::{Instance, PostmasterStatus};

/// Runs one of them.
pub(super) async fn run(command: &Service) -> CliResult<Exit> {
    match command {
        Service::Restart(Restart::Postgres(pgdata)) => restart(pgdata).await,
        Service::Getpid(of) => print_pid(of),
        Service::Postgres(pgdata) => stand_in("postgres", pgdata).await,
        Service::NodeActive(pgdata) => stand_in("node-active", pgdata).await,
        Service::Listener(pgdata) => stand_in("listener", pgdata).await,
    }
}

/// Nobody types it.
pub(super) const fn is_of_a_supervisor(command: &Service) -> bool {
    matches!(command, Service::Postgres(_) | Service::NodeActive(_) | Service::Listener(_))
}

/// The keeper starts Postgres again.
async fn restart(pgdata: &Pgdata) -> CliResult<Exit> {
    let config = Config::load(&pgdata.required()?)?;
    Instance::new(config.instance())
        .execute(&Step::StopPostgres(StopMode::Fast))
        .await
        .map_err(|error| CliError::new(Exit::PgCtl, error.to_string()))?;
    pgsetup::wait(pgdata).await
}

fn print_pid(of: &Getpid) -> CliResult<Exit> {
    let (what, pid) = match of {
        Getpid::Postgres(pgdata) => ("Postgres", PostmasterStatus::of(&pgdata.required()?).pid),
        Getpid::NodeActive(pgdata) | Getpid::Listener(pgdata) => {
            let config = Config::load(&pgdata.required()?)?;
            ("pg_autoctl", process::running(config.paths())?.map(nix::unistd::Pid::as_raw))
        }
    };
    let pid = pid.ok_or_else(|| CliError::new(Exit::Internal, format!("{what} does not run")))?;
    print::line(&pid.to_string()).map(|()| Exit::Quit)
}

/// A supervisor of 2.x that runs since before these packages were installed starts a part of itself anew, and finds this
/// program. When that ended, the supervisor would give up after some tries, and stop Postgres. So it waits, until the
/// supervisor ends or says so, and Postgres goes on.
async fn stand_in(part: &str, pgdata: &Pgdata) -> CliResult<Exit> {
    let pgdata = pgdata.required()?;
    set_pdeathsig(Signal::SIGTERM).map_err(|errno| {
        CliError::new(Exit::Internal, format!("cannot ask for a signal: {}", errno.desc()))
    })?;
    let listen = |kind| {
        signal(kind)
            .map_err(|error| CliError::new(Exit::Internal, format!("cannot receive signals: {error}")))
    };
    let (mut terminate, mut interrupt, mut quit) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::quit())?);
    tracing::error!(
        "the {part} process of pg_autoctl 2.x in \"{}\" has ended, and version {} is installed by now: restart the service of the monitor, then that of this node, as docs/upgrade.md says; Postgres is left as it is until then",
        pgdata.display(),
        env!("CARGO_PKG_VERSION")
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
    Ok(Exit::Quit)
}
