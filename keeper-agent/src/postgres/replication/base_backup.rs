//! Replaces the data directory by a copy of another node's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pgaf_core::message::Peer;

use crate::postgres::configuration::{conninfo, route::Route};
use crate::postgres::data::{
    ControlData, assemble, history, marker, own_files, tablespaces, tablespaces::Tablespaces,
};
use crate::postgres::server::{
    InstanceConfig, Limit, LocalServer, PostgresError, Program, progress::Progress, stop, version,
};

use super::follow;
use super::remote::RemoteSession;

/// How long the source may take to answer a question.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// Before data flow, the source runs a checkpoint, of which nothing is seen here.
const LIMIT: Limit = Limit::Idle(Duration::from_secs(1800));

/// Copies, into a directory that is marked until the copy can be started. Nothing is removed before the source has
/// answered.
pub(crate) async fn run(server: &LocalServer, upstream: &Peer) -> Result<(), PostgresError> {
    let config = server.config();
    refuse_while_running(server).await?;
    let tablespaces = check_source(&config, upstream).await?;
    stop::sweep(server).await?;
    let before = Arc::clone(&config);
    let of_source = tablespaces.clone();
    let places = server.files().run("preparing the copy", move || prepare(&before, &of_source)).await?;
    let route = Route::to(upstream).await;
    let mut program = Program::new(&config.bin_dir, "pg_basebackup")
        .writes_to(&config.pgdata)
        .arg("--pgdata")
        .arg(assemble::copy_directory(&config.pgdata))
        .arg("--dbname")
        .arg(conninfo::copying(&config, &route))
        .args(["--wal-method=stream", "--checkpoint=fast", "--progress"])
        .arg("--no-password");
    if let Some(node) = config.node {
        program = program.arg("--slot").arg(node.slot_name());
    }
    if let Some(wal) = &places.wal {
        program = program.arg("--waldir").arg(wal);
    }
    if !config.maximum_backup_rate.is_empty() {
        program = program.arg("--max-rate").arg(&config.maximum_backup_rate);
    }
    program = program.args(tablespaces::mappings(&tablespaces, &places.tablespaces));
    let progress = Progress::of(server.gauge(), "base backup from", upstream);
    program.watch(move |output| progress.note(output)).run(LIMIT).await?;
    finish(server, &config, upstream, places.tablespaces).await
}

/// A step that needs the server to be stopped.
pub(crate) async fn refuse_while_running(server: &LocalServer) -> Result<(), PostgresError> {
    match server.postmaster().await? {
        None => Ok(()),
        Some(_) => Err(PostgresError::Refused("Postgres runs: it has to be stopped first".to_owned())),
    }
}

/// It answers, and is of this cluster, as far as that is known. Gives its tablespaces.
async fn check_source(config: &InstanceConfig, upstream: &Peer) -> Result<Tablespaces, PostgresError> {
    let session = RemoteSession::open(config, upstream, ASK_DEADLINE).await?;
    let source = session.ask().await?;
    match ControlData::read(config).await {
        Ok(own) if own.system_identifier != source.system_identifier => Err(PostgresError::Refused(format!(
            "\"{}\" is another cluster than node {} \"{}\": its system identifier is {}, not {}; move it away \
                 if it is not needed",
            config.pgdata.display(),
            upstream.node,
            upstream.name,
            own.system_identifier,
            source.system_identifier
        ))),
        _ => session.tablespaces().await,
    }
}

/// Where what is outside of PGDATA goes.
struct Places {
    wal: Option<PathBuf>,
    tablespaces: Tablespaces,
}

/// Marks and cleans. Nothing is removed when something of others is in the way.
fn prepare(config: &InstanceConfig, of_source: &Tablespaces) -> Result<Places, PostgresError> {
    assemble::make_data_directory(&config.pgdata)?;
    conninfo::write_passfile(config)?;
    let mut own = if marker::is_set(config) {
        own_files::noted_tablespaces(config)?
    } else {
        tablespaces::linked_from(&config.pgdata)
    };
    let placed = tablespaces::place(&own, of_source)?;
    own.extend(placed.clone());
    own_files::save(config)?;
    own_files::note_tablespaces(config, &own)?;
    marker::set(config, "a copy of another node is being made")?;
    let wal = assemble::wal_directory(&config.pgdata);
    assemble::clean(config)?;
    tablespaces::clean(&own)?;
    Ok(Places { wal, tablespaces: placed })
}

async fn finish(
    server: &LocalServer,
    config: &Arc<InstanceConfig>,
    upstream: &Peer,
    tablespaces: Tablespaces,
) -> Result<(), PostgresError> {
    let copy = Arc::clone(config);
    server
        .files()
        .run("putting the copy in place", move || {
            tablespaces::put_in_place(&copy, &tablespaces)?;
            assemble::put_in_place(&copy.pgdata)?;
            own_files::restore(&copy)?;
            history::complete(&copy.pgdata)
        })
        .await?;
    version::check(server.files(), config).await?;
    // The mark goes last: before the signal file is there, a start would make a second primary.
    follow::write(server, Some(upstream)).await?;
    let copy = Arc::clone(config);
    server.files().run("finishing the copy", move || marker::clear(&copy)).await?;
    server.state().hopeless_rewind_to = None;
    Ok(())
}
