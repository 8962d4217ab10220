//! Reads the monitor's tables whenever it says that something has changed, and finds it again when it was lost.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::bulletin::Bulletin;
use super::site::MonitorSite;
use crate::client::ConnectionString;
use crate::monitor::{MonitorConnection, MonitorError, Notifications, timed};
use crate::postgres::{BootTime, local_address};

/// Positions move without a notification: they are read this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Changes that come closer to each other than this are seen in one look.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// The tables of a large monitor are read for no more than this part of the time.
const SHARE: u32 = 10;
const LOOK_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts to connect.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// Feeds the site from the Postgres in this directory, for ever. It only reads.
pub async fn feed(pgdata: &Path, user: &str, dbname: &str, site: &MonitorSite) -> Infallible {
    let site = site.bulletin();
    loop {
        let why = match address(pgdata).await {
            None => "Postgres does not run".to_owned(),
            Some((host, port)) => {
                let mut target = ConnectionString::new(host, port);
                target.user = Some(user.to_owned());
                target.dbname = Some(dbname.to_owned());
                match connect(&target).await {
                    Ok((monitor, notifications)) => follow(&monitor, notifications, site).await.to_string(),
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::debug!("could not refresh the page of the monitor: {why}");
        let tried_at = BootTime::now().moment();
        site.set_status(|status| {
            status.is_up = false;
            status.why = Some(why);
            status.tried_at = tried_at;
        });
        sleep(ATTEMPT_PAUSE).await;
    }
}

/// Where the server listens, as a file says: the disk may hang.
async fn address(pgdata: &Path) -> Option<(String, u16)> {
    let pgdata = pgdata.to_owned();
    let read = tokio::task::spawn_blocking(move || local_address(&pgdata));
    timeout(CONNECT_DEADLINE, read).await.ok()?.ok()?
}

async fn connect(target: &ConnectionString) -> Result<(MonitorConnection, Notifications), MonitorError> {
    let connecting = async {
        let (monitor, notifications) = MonitorConnection::connect(target).await?;
        match monitor.listen_state().await {
            Ok(()) => monitor.listen_log().await?,
            // A standby sends no notifications: it is read once a second.
            Err(MonitorError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok((monitor, notifications))
    };
    timed("connecting to it", CONNECT_DEADLINE, connecting).await
}

/// Reads again and again, until that fails.
async fn follow(
    monitor: &MonitorConnection,
    mut notifications: Notifications,
    site: &Bulletin,
) -> MonitorError {
    loop {
        while notifications.try_recv().is_some() {}
        let (began, read_at) = (Instant::now(), BootTime::now().moment());
        let last_event = site.picture().last_event();
        let reading = monitor.board(last_event);
        let board = match timed("reading its tables", LOOK_DEADLINE, reading).await {
            Ok(board) => board,
            Err(error) => return error,
        };
        let is_standby = board.is_in_recovery;
        site.picture().show(board, &site.counters);
        site.set_status(|status| {
            status.is_up = true;
            status.is_standby = is_standby;
            status.why = None;
            status.read_at = Some(read_at);
            status.tried_at = read_at;
        });
        let rest = LEAST_INTERVAL.max(began.elapsed().saturating_mul(SHARE));
        let next = Instant::now() + LOOK_INTERVAL.max(rest);
        sleep(rest).await;
        if let Ok(None) = timeout_at(next, notifications.recv()).await {
            return MonitorError::Lost("the server has closed it".to_owned());
        }
    }
}
