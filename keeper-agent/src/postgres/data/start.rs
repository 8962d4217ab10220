//! Starts the server, open or gated, or opens the gate of one that runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::postgres::configuration::{
    conninfo, hba, overruled, reload, settings, settings::Changing, written::Written,
};
use crate::postgres::server::{
    InstanceConfig, Limit, LocalServer, PostgresError, Postmaster, Program, connection::PidFile, files,
    says_disk_full, startup_log, stop, version,
};

use super::command_line::CommandLine;
use super::control_data::{CONTROL_FILE, ControlData};
use super::{history, marker};

/// The file whose presence makes Postgres start as a standby.
pub(crate) const STANDBY_SIGNAL: &str = "standby.signal";

/// A server that needs longer than this to accept connections is left to recover; observing it says how it goes.
const READY_DEADLINE: Duration = Duration::from_secs(1);
/// Between two looks at the pid file, where the postmaster writes that it is ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long the server's program may take to say what is configured.
const ASK_DEADLINE: Duration = Duration::from_secs(10);
/// How often a start is tried again while something of a dead postmaster is still there.
const LEFTOVER_TRIES: u32 = 20;

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Whom pg_hba.conf lets in.
    Open,
    /// The keeper and the standbys.
    Closed,
}

/// Starts it, and waits for it to accept connections, or to be busy with recovery.
pub(crate) async fn run(server: &LocalServer, gate: Gate) -> Result<(), PostgresError> {
    let config = server.config();
    if let Some(postmaster) = server.postmaster().await? {
        let of_gate = Arc::clone(&config);
        let gate_of_files = move || Ok(Changing::read(&of_gate.pgdata)?.is_gated);
        let is_gated = server.files().look("looking at the gate", gate_of_files).await?;
        match gate {
            Gate::Open if is_gated => open_gate(server, &config).await?,
            Gate::Closed if !is_gated => {
                return Err(PostgresError::Refused(
                    "Postgres runs without a gate: it has to be stopped first".to_owned(),
                ));
            }
            _ => {}
        }
        return await_ready(server, &postmaster).await.map(|_| ());
    }
    let line = prepare(server, gate).await?;
    for remark in &line.remarks {
        tracing::warn!("{remark}");
    }
    server.state().notice = line.notice;
    let mut tries = 0;
    loop {
        tries += 1;
        let log = startup_log::Position::now(server.files(), &config).await;
        let postmaster = server.spawn_postmaster(line.settings.clone()).await?;
        // A start that fails is this step's error, not the end of a server.
        postmaster.ask_to_stop(true);
        let is_alive = await_ready(server, &postmaster).await;
        postmaster.ask_to_stop(false);
        if is_alive? {
            return Ok(());
        }
        server.forget(&postmaster);
        let reason = log.reason(server.files(), &config).await;
        let is_leftover = reason.contains("is still in use") || reason.contains("already exists");
        if !is_leftover || tries >= LEFTOVER_TRIES {
            return Err(does_not_start(&config, reason));
        }
        stop::sweep(server).await?;
        sleep(Duration::from_millis(100)).await;
    }
}

fn does_not_start(config: &InstanceConfig, reason: String) -> PostgresError {
    if says_disk_full(&reason) {
        return PostgresError::DiskFull { path: config.pgdata.clone() };
    }
    PostgresError::DoesNotStart { reason, log: config.startup_log() }
}

/// Brings the files into the state from which a start is right.
async fn prepare(server: &LocalServer, gate: Gate) -> Result<CommandLine, PostgresError> {
    let config = server.config();
    version::check(server.files(), &config).await?;
    stop::sweep(server).await?;
    let of_data = Arc::clone(&config);
    let looked = server.files().run("looking at the data directory", move || {
        let major = version::of_data(&of_data.pgdata).ok().flatten();
        Ok((of_data.in_pgdata(CONTROL_FILE).exists(), major))
    });
    let (has_control, major) = looked.await?;
    let control = if has_control { Some(ControlData::read(&config).await?) } else { None };
    let is_logical = is_logical(&config, major).await;
    let preparing = server.files().run("preparing the start", move || {
        if marker::is_set(&config) {
            return Err(PostgresError::Refused(format!(
                "\"{}\" is an unfinished copy",
                config.pgdata.display()
            )));
        }
        // A crash between the end of recovery and the first checkpoint leaves no signal file, and a control file that
        // knows the old timeline only: as a primary it would go on there, beside its successor.
        let signal = config.in_pgdata(STANDBY_SIGNAL);
        if control.is_some_and(|control| control.was_in_recovery()) && !signal.exists() {
            files::replace(&signal, b"", 0o600)?;
        }
        // Nothing of Postgres runs here, as was just made sure; the number in the file may be a zombie's, or another
        // program's by now, and Postgres would not start beside it.
        remove_stale_locks(&config)?;
        history::complete(&config.pgdata)?;
        conninfo::write_passfile(&config)?;
        settings::update(&config, |changing| changing.is_logical = is_logical)?;
        overruled::erase(&config)?;
        let written = Written::read(&config.pgdata)?;
        hba::bring(&config, &written)?;
        set_gate(&config, gate)?;
        let needs = control.map(|control| control.recovery_settings).filter(|_| signal.exists());
        Ok(CommandLine::new(&config, version::of_data(&config.pgdata)?, &written, needs.as_ref()))
    });
    preparing.await
}

/// The server will run with a `wal_level` that lets it decode its log; asked where that matters.
async fn is_logical(config: &InstanceConfig, major: Option<u32>) -> bool {
    if major.is_none_or(|major| major < version::SYNCS_SLOTS_SINCE) {
        return false;
    }
    let asked = Program::new(&config.bin_dir, "postgres")
        .args(["-C", "wal_level", "-D"])
        .arg(&config.pgdata)
        .run(Limit::Within(ASK_DEADLINE))
        .await;
    asked.is_ok_and(|printed| printed.stdout.trim() == "logical")
}

/// The pid file, and the lock of the socket it names, if that is of this data directory.
pub(crate) fn remove_stale_locks(config: &InstanceConfig) -> Result<(), PostgresError> {
    if let Some(stale) = PidFile::read(&config.pgdata) {
        let lock = Path::new(&stale.host).join(format!(".s.PGSQL.{}.lock", stale.port));
        let owner = files::read_if_there(&lock)?.unwrap_or_default();
        let is_ours = owner
            .lines()
            .nth(1)
            .is_some_and(|pgdata| fs::canonicalize(pgdata).ok() == fs::canonicalize(&config.pgdata).ok());
        if is_ours {
            files::remove_if_there(&lock)?;
        }
    }
    files::remove_if_there(&config.in_pgdata("postmaster.pid"))
}

fn set_gate(config: &InstanceConfig, gate: Gate) -> Result<(), PostgresError> {
    let is_gated = gate == Gate::Closed;
    settings::update(config, |changing| changing.is_gated = is_gated)?;
    hba::update(config, |managed| managed.is_gated = is_gated).map(|_| ())
}

async fn open_gate(server: &LocalServer, config: &Arc<InstanceConfig>) -> Result<(), PostgresError> {
    let files_of = Arc::clone(config);
    server.files().run("opening the gate", move || set_gate(&files_of, Gate::Open)).await?;
    reload::run_and_await(server, settings::GATE_SETTING, "off", None).await
}

/// Waits until it accepts connections, for a second; false when it has ended.
async fn await_ready(server: &LocalServer, postmaster: &Postmaster) -> Result<bool, PostgresError> {
    let give_up = Instant::now() + READY_DEADLINE;
    loop {
        let config = server.config();
        let read = move || Ok(PidFile::read(&config.pgdata));
        let pid_file = server.files().look("reading postmaster.pid", read).await?;
        let is_ready = pid_file.is_some_and(|file| {
            file.pid == postmaster.pid() && matches!(file.status.as_str(), "ready" | "standby")
        });
        if is_ready || Instant::now() >= give_up {
            return Ok(!postmaster.has_ended());
        }
        if timeout(LOOK_INTERVAL, postmaster.exited()).await.is_ok() {
            return Ok(false);
        }
    }
}
