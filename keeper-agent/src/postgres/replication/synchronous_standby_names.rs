//! Sets which standbys a commit waits for, and proves that every process of the server follows.
//!
//! A commit waits only when a flag in shared memory says that standbys are configured, and only the checkpointer sets
//! that flag, when it reads the configuration. Until it has, commits are acknowledged without a standby although every
//! session shows the new value. Which standbys count is up to the walsenders, each of which reads the configuration
//! for itself.

use std::time::Duration;

use pgaf_core::StandbyNames;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::postgres::configuration::{opt_outs, opt_outs::OptOut, overruled, reload, settings};
use crate::postgres::server::{LocalServer, LocalSession, PostgresError, connection, process};

/// How long the slowest process may take.
const DEADLINE: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The checkpointer sleeps for at most 100 ms at a time while it spreads writes: seen asleep twice at this distance, it
/// has gone through its loop, where it reads the configuration.
const ROUND: Duration = Duration::from_millis(150);

/// Sets it and waits until all follow.
pub(crate) async fn run(server: &LocalServer, names: &str) -> Result<(), PostgresError> {
    server.state().followed_names = None;
    let config = server.config();
    let wanted = names.to_owned();
    server
        .files()
        .run("writing synchronous_standby_names", move || {
            settings::update(&config, |changing| changing.synchronous_standby_names = wanted)
        })
        .await?;
    let Some(postmaster) = server.postmaster().await? else {
        // Every process of the next postmaster reads it when it starts.
        return Ok(());
    };
    let session = match server.any_session().await {
        Ok(session) => session,
        // Who does not follow an empty value waits, and loses nothing: that needs no proof.
        Err(error) if error.is_refusal() && names.is_empty() => {
            postmaster.signal(Signal::HUP);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if !names.is_empty() {
        overruled::reset(server, "synchronous_commit", Some(&session)).await?;
        refuse_opt_outs(&session).await?;
    }
    let checkpointer = Checkpointer::look(&session).await?;
    reload::run_and_await(server, "synchronous_standby_names", names, Some(&session)).await?;
    let give_up = Instant::now() + DEADLINE;
    await_walsenders(&session, &StandbyNames::parse(names).names, give_up).await?;
    if !names.is_empty() {
        await_checkpointer(&session, checkpointer, give_up).await?;
    }
    server.state().followed_names = Some((postmaster.pid(), names.to_owned()));
    Ok(())
}

/// Nobody's commits go without waiting, or the value would promise what does not hold. Settings of roles and databases are
/// reset where the owner of the server has asked for that.
async fn refuse_opt_outs(session: &LocalSession) -> Result<(), PostgresError> {
    let query = format!(
        "SELECT ({})::text, lower(coalesce(current_setting('{}', true), '')) IN ('on', 'true', 'yes', '1')",
        opt_outs::QUERY,
        opt_outs::REQUIREMENT
    );
    let row = connection::row(session, "look for synchronous_commit of roles", &query, &[]).await?;
    let is_reset: bool = row.get(1);
    let found: Vec<OptOut> = serde_json::from_str(row.get(0))
        .map_err(|error| PostgresError::Refused(format!("settings of roles: {error}")))?;
    if is_reset {
        for opt_out in &found {
            let (whose, statement) = opt_out.end();
            connection::run(session, "reset synchronous_commit", &statement).await?;
            tracing::warn!(
                "reset synchronous_commit of {whose}, which had {}, as {} is on; sessions that began before keep it",
                opt_out.setting_shown(),
                opt_outs::REQUIREMENT
            );
        }
        return Ok(());
    }
    match found.first() {
        None => Ok(()),
        Some(found) => Err(PostgresError::Refused(found.describe())),
    }
}

fn too_late(who: &str) -> PostgresError {
    PostgresError::TimedOut { what: format!("synchronous_standby_names: {who}"), after: DEADLINE }
}

/// Each walsender has the priority that the new value gives it. A value that names nobody of them is followed when
/// none has a priority.
async fn await_walsenders(
    session: &LocalSession,
    listed: &[String],
    give_up: Instant,
) -> Result<(), PostgresError> {
    loop {
        let row = connection::row(
            session,
            "look at the walsenders",
            "SELECT count(*) FROM pg_stat_replication \
             WHERE flush_lsn IS NOT NULL AND state = 'streaming' \
             AND (sync_priority > 0) <> (lower(application_name) = ANY ($1::text[]))",
            &[&listed],
        )
        .await?;
        if row.get::<_, i64>(0) == 0 {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(too_late("a walsender does not follow"));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// It has slept since `before`, that is, it was woken by the reload; and it was seen asleep twice since.
async fn await_checkpointer(
    session: &LocalSession,
    before: Checkpointer,
    give_up: Instant,
) -> Result<(), PostgresError> {
    let mut looks = 0;
    while looks < 2 {
        let now = Checkpointer::look(session).await?;
        let has_slept = now.pid != before.pid || now.sleeps > before.sleeps;
        looks = if has_slept && now.is_at_ease { looks + 1 } else { 0 };
        if Instant::now() >= give_up {
            return Err(too_late("the checkpointer is busy"));
        }
        if looks < 2 {
            sleep(ROUND).await;
        }
    }
    Ok(())
}

/// The checkpointer at one moment.
struct Checkpointer {
    pid: i32,
    /// It waits at a place it reaches only after it has looked at its signals.
    is_at_ease: bool,
    /// How often it has gone to sleep in its life.
    sleeps: u64,
}

impl Checkpointer {
    async fn look(session: &LocalSession) -> Result<Self, PostgresError> {
        let row = connection::row(
            session,
            "look at the checkpointer",
            "SELECT pid, coalesce(wait_event IN ('CheckpointerMain', 'CheckpointWriteDelay'), false) \
             FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
            &[],
        )
        .await?;
        let pid = row.get(0);
        Ok(Self { pid, is_at_ease: row.get(1), sleeps: process::sleeps(pid).unwrap_or_default() })
    }
}
