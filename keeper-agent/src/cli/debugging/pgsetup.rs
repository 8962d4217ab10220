//! `do pgsetup …`: the local Postgres.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::checks;
use super::super::commands::Pgsetup;
use super::super::error::{CliError, CliResult};
use super::super::options::Pgdata;
use super::super::print;
use super::super::setup::Setup;
use crate::config::Config;
use crate::exit::Exit;
use crate::postgres::{Instance, PostmasterStatus, settings_of_this_machine};

/// What a monitor needs.
const EXTENSION_NAME: &str = "pgautofailover";
/// Postgres is waited for at most this long.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Of each log, at most this much is printed.
const LOG_BYTES: u64 = 16 << 10;

/// Runs one of them.
pub(super) async fn run(command: &Pgsetup) -> CliResult<Exit> {
    match command {
        Pgsetup::Ready(pgdata) => ready(pgdata).await,
        Pgsetup::Wait(pgdata) => wait(pgdata).await,
        Pgsetup::PgCtl => pg_ctl().map(|()| Exit::Quit),
        Pgsetup::Tune => tune().map(|()| Exit::Quit),
        Pgsetup::Discover { pgdata, json } => {
            let config = Config::load(&pgdata.required()?)?;
            let setup = Setup::find(&config, &Instance::new(config.instance())).await?;
            let printed = if json.json { print::json(&setup) } else { print::line(&setup.to_string()) };
            printed.map(|()| Exit::Quit)
        }
        Pgsetup::Logs(pgdata) => logs(&Config::load(&pgdata.required()?)?).map(|()| Exit::Quit),
    }
}

async fn ready(pgdata: &Pgdata) -> CliResult<Exit> {
    let config = Config::load(&pgdata.required()?)?;
    let is_ready = accepts_connections(&Instance::new(config.instance())).await;
    tracing::info!("Postgres status is: \"{}\"", PostmasterStatus::of(&config.postgres().pgdata).status);
    Ok(if is_ready { Exit::Quit } else { Exit::Sql })
}

async fn accepts_connections(instance: &Instance) -> bool {
    instance.session("template1").await.is_ok()
}

/// Waits until Postgres accepts connections.
pub(super) async fn wait(pgdata: &Pgdata) -> CliResult<Exit> {
    let config = Config::load(&pgdata.required()?)?;
    let instance = Instance::new(config.instance());
    let begin = Instant::now();
    while !accepts_connections(&instance).await {
        if begin.elapsed() > WAIT_LIMIT {
            return Err(CliError::new(
                Exit::Sql,
                format!("Postgres has not accepted connections within {} s", WAIT_LIMIT.as_secs()),
            ));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    Ok(Exit::Quit)
}

/// What a new cluster on this machine starts with.
fn tune() -> CliResult {
    let settings = settings_of_this_machine().ok_or_else(|| {
        CliError::new(
            Exit::Internal,
            "could not detect the memory of this machine: /proc/meminfo does not tell",
        )
    })?;
    settings.iter().try_for_each(|(name, value)| print::line(&format!("{name} = '{value}'")))
}

/// Which programs `create` would use, and whether a monitor could be made with them.
fn pg_ctl() -> CliResult {
    let found = checks::find_pg_ctl(None).map_err(|error| CliError::new(Exit::Internal, error.message))?;
    print::line(&found.display().to_string())?;
    let control = extension_directory(&found).map(|share| share.join(format!("{EXTENSION_NAME}.control")));
    match control.filter(|file| file.is_file()) {
        Some(file) => {
            tracing::info!("found extension {EXTENSION_NAME}, \"{}\"", file.display());
            Ok(())
        }
        None => Err(CliError::new(
            Exit::Internal,
            format!(
                "extension {EXTENSION_NAME} is not installed for the Postgres of \"{}\": \"pg_autoctl create monitor\" needs it",
                found.display()
            ),
        )),
    }
}

fn extension_directory(pg_ctl: &Path) -> Option<PathBuf> {
    let output =
        std::process::Command::new(pg_ctl.with_file_name("pg_config")).arg("--sharedir").output().ok()?;
    let share = String::from_utf8(output.stdout).ok()?;
    Some(Path::new(share.trim()).join("extension"))
}

/// The end of the log of the last start, and of the newest log file.
fn logs(config: &Config) -> CliResult {
    let startup = config.instance().startup_log();
    let newest = newest_file(&config.postgres().pgdata.join("log"));
    for file in [Some(startup), newest].into_iter().flatten().filter(|file| file.is_file()) {
        let end = end_of(&file).map_err(|error| {
            CliError::new(Exit::PgCtl, format!("cannot read \"{}\": {error}", file.display()))
        })?;
        print::line(&format!("==> {} <==\n{}", file.display(), end.trim_end_matches('\n')))?;
    }
    Ok(())
}

fn newest_file(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path)
}

fn end_of(file: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut content = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}
