//! Takes back what another node does not have, with pg_rewind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgaf_core::message::Peer;
use tokio::time::{Instant, sleep};

use crate::postgres::configuration::{conninfo, route::Route};
use crate::postgres::data::{ControlData, history, marker, own_files, start, start::STANDBY_SIGNAL};
use crate::postgres::server::{
    InstanceConfig, Limit, LocalServer, PostgresError, Program, files,
    program::{Ended, failure},
    progress::Progress,
    stop,
};

use super::base_backup::refuse_while_running;
use super::follow;
use super::remote::RemoteSession;

/// How long the source may take to answer a question.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// How long the source may take for the checkpoint that makes its new timeline known.
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Reading a long log, or recovering from a crash, is silent work, which is seen.
const LIMIT: Limit = Limit::Idle(Duration::from_secs(900));

/// What pg_rewind says when it is not its fault: another try may work.
const TRANSIENT: [&str; 8] = [
    "could not connect",
    "connection to server",
    "server closed the connection",
    "terminating connection",
    "the database system is",
    "could not receive data",
    "timeout expired",
    "must be shut down cleanly",
];
/// What it prints before it changes anything.
const BEGINS_TO_WRITE: &str = "need to copy";

/// Rewinds. Where that cannot work, this is remembered for the next observations.
pub(crate) async fn run(server: &LocalServer, upstream: &Peer) -> Result<(), PostgresError> {
    let config = server.config();
    refuse_while_running(server).await?;
    let marked = Arc::clone(&config);
    if server.files().run("looking for a mark", move || Ok(marker::is_set(&marked))).await? {
        return Err(PostgresError::Refused("an unfinished copy cannot be rewound".to_owned()));
    }
    stop::sweep(server).await?;
    let dbname = await_source(&config, upstream).await?;
    recover_from_crash(server, &config, upstream).await?;
    let before = Arc::clone(&config);
    server
        .files()
        .run("preparing the rewind", move || {
            conninfo::write_passfile(&before)?;
            own_files::save(&before)?;
            marker::set(&before, "pg_rewind runs")
        })
        .await?;
    let progress = Progress::of(server.gauge(), "rewind to", upstream);
    let route = Route::to(upstream).await;
    let ended = Program::new(&config.bin_dir, "pg_rewind")
        .watch(move |output| progress.note(output))
        .arg("--target-pgdata")
        .arg(&config.pgdata)
        .arg("--source-server")
        .arg(conninfo::database(&config, &route, &dbname))
        .args(["--progress", "--no-ensure-shutdown"])
        .finish(LIMIT)
        .await?;
    if ended.status.success() {
        return finish(server, &config, upstream).await;
    }
    give_up(server, &config, upstream, &ended).await
}

/// Waits until the control file of the source knows its timeline: pg_rewind compares with that. Gives the name of a
/// database to connect to.
async fn await_source(config: &InstanceConfig, upstream: &Peer) -> Result<String, PostgresError> {
    let session = RemoteSession::open(config, upstream, ASK_DEADLINE).await?;
    let give_up = Instant::now() + CHECKPOINT_DEADLINE;
    let mut has_asked = false;
    loop {
        let source = session.ask().await?;
        if source.is_in_recovery || source.checkpoint_timeline == source.history.timeline {
            return Ok(session.dbname.clone());
        }
        if Instant::now() >= give_up {
            return Err(PostgresError::TimedOut {
                what: format!("the first checkpoint of node {} on its timeline", upstream.node),
                after: CHECKPOINT_DEADLINE,
            });
        }
        if !has_asked {
            has_asked = true;
            // It runs one of its own as well, only slower.
            if let Err(error) = session.checkpoint(CHECKPOINT_DEADLINE).await {
                tracing::debug!("{error}");
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// pg_rewind wants a target that was shut down cleanly. Recovery in single-user mode does not go on as a standby, so
/// the signal file goes first; while it is away, a mark keeps everybody from starting a second primary.
async fn recover_from_crash(
    server: &LocalServer,
    config: &Arc<InstanceConfig>,
    upstream: &Peer,
) -> Result<(), PostgresError> {
    if ControlData::read(config).await?.is_clean() {
        return Ok(());
    }
    let signal = config.in_pgdata(STANDBY_SIGNAL);
    let marked = Arc::clone(config);
    let was_standby = server
        .files()
        .run("removing the signal file", move || {
            let was_standby = signal.exists();
            if was_standby {
                marker::set(&marked, "the recovery before pg_rewind runs")?;
            }
            files::remove_if_there(&signal)?;
            // Nothing of Postgres runs here; the dead postmaster may be a zombie still, and its lock would be respected.
            start::remove_stale_locks(&marked)?;
            Ok(was_standby)
        })
        .await?;
    let recovery = Program::new(&config.bin_dir, "postgres")
        .arg("--single")
        .arg("-D")
        .arg(&config.pgdata)
        .arg("template1")
        .finish(LIMIT)
        .await?;
    if recovery.status.success() {
        return Ok(());
    }
    let error = failure("the recovery before a rewind", &config.pgdata, &recovery);
    if was_standby {
        let unmarked = Arc::clone(config);
        server
            .files()
            .run("putting back the signal file", move || {
                files::replace(&unmarked.in_pgdata(STANDBY_SIGNAL), b"", 0o600)?;
                marker::clear(&unmarked)
            })
            .await?;
    }
    if !error.is_disk_full() {
        server.state().hopeless_rewind_to = Some(upstream.node);
    }
    Err(error)
}

async fn finish(
    server: &LocalServer,
    config: &Arc<InstanceConfig>,
    upstream: &Peer,
) -> Result<(), PostgresError> {
    let rewound = Arc::clone(config);
    server
        .files()
        .run("putting back the configuration", move || {
            own_files::restore(&rewound)?;
            history::complete(&rewound.pgdata)
        })
        .await?;
    // The mark goes last: before the signal file is there, a start would make a second primary.
    follow::write(server, Some(upstream)).await?;
    let rewound = Arc::clone(config);
    server.files().run("finishing the rewind", move || marker::clear(&rewound)).await
}

/// What is left after a failure: data as before, or data that must be copied anew.
async fn give_up(
    server: &LocalServer,
    config: &Arc<InstanceConfig>,
    upstream: &Peer,
    ended: &Ended,
) -> Result<(), PostgresError> {
    let output = format!("{}\n{}", ended.printed.stdout, ended.printed.stderr);
    if !output.contains(BEGINS_TO_WRITE) {
        let untouched = Arc::clone(config);
        server.files().run("taking the mark away", move || marker::clear(&untouched)).await?;
    }
    let error = failure("pg_rewind", Path::new(&config.pgdata), ended);
    let is_transient = TRANSIENT.iter().any(|words| output.contains(words));
    if !is_transient && !error.is_disk_full() {
        tracing::warn!("pg_rewind is not possible: the data will be copied again");
        server.state().hopeless_rewind_to = Some(upstream.node);
    }
    Err(error)
}
