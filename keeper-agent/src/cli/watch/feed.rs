//! Looks at the monitor whenever it says that something has changed, and finds it again when it was lost.

use std::time::Duration;

use pgaf_core::GroupId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::picture::Picture;
use crate::client::ConnectionString;
use crate::monitor::{MonitorConnection, MonitorError, Notification, Notifications, timed};

/// Positions move without a notification: they are looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Changes that come closer to each other than this are seen in one look.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);
/// A look may take this long.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// An attempt to connect may take this long for each host that the connection string names.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(5);
/// Between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// A connection to the monitor that makes pictures.
pub(super) struct Feed {
    target: ConnectionString,
    group: Option<GroupId>,
    event_count: i32,
    monitor: MonitorConnection,
    notifications: Notifications,
}

impl Feed {
    /// Connects.
    ///
    /// # Errors
    /// The monitor cannot be reached, or is none.
    pub(super) async fn open(
        target: ConnectionString,
        group: Option<GroupId>,
        event_count: i32,
    ) -> Result<Self, MonitorError> {
        let (monitor, notifications) = connect(&target).await?;
        Ok(Self { target, group, event_count, monitor, notifications })
    }

    /// Looks once.
    ///
    /// # Errors
    /// As for any call of the monitor.
    pub(super) async fn look(&mut self, formation: &str) -> Result<Picture, MonitorError> {
        // What was told until now is seen by this look.
        while self.notifications.try_recv().is_some() {}
        let looked = self.monitor.overview(formation, self.group, self.event_count);
        let overview = timed("looking at the monitor", LOOK_DEADLINE, looked).await?;
        Ok(Picture::of(formation, overview))
    }

    /// Goes on until nobody wants pictures any more.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<String>, pictures: watch::Sender<Picture>) {
        while !pictures.is_closed() {
            let error = self.follow(&mut wanted, &pictures).await;
            pictures.send_modify(|picture| picture.lose(&error));
            (self.monitor, self.notifications) = self.reconnect(&pictures).await;
        }
    }

    /// Tries to connect until that succeeds; why it does not is in the picture.
    async fn reconnect(&self, pictures: &watch::Sender<Picture>) -> (MonitorConnection, Notifications) {
        loop {
            sleep(ATTEMPT_PAUSE).await;
            match connect(&self.target).await {
                Ok(connected) => return connected,
                Err(error) => pictures.send_modify(|picture| picture.lose(&error)),
            }
        }
    }

    /// Looks again and again, until that fails.
    async fn follow(
        &mut self,
        wanted: &mut watch::Receiver<String>,
        pictures: &watch::Sender<Picture>,
    ) -> MonitorError {
        loop {
            let formation = wanted.borrow_and_update().clone();
            match self.look(&formation).await {
                Ok(picture) => pictures.send_replace(picture),
                Err(error) => return error,
            };
            let next = Instant::now() + LOOK_INTERVAL;
            sleep(LEAST_INTERVAL).await;
            tokio::select! {
                changed = self.told(&formation, next) => {
                    if let Err(error) = changed {
                        return error;
                    }
                }
                // An error means that the dashboard ends, and this task with it.
                _ = wanted.changed() => {}
            }
        }
    }

    /// Waits until something may have changed in this formation, or it is time.
    async fn told(&mut self, formation: &str, next: Instant) -> Result<(), MonitorError> {
        loop {
            match timeout_at(next, self.notifications.recv()).await {
                // Its time has come.
                Err(_) => return Ok(()),
                Ok(None) => return Err(MonitorError::Lost("the server has closed it".to_owned())),
                Ok(Some(Notification::State(change))) if change.formation != formation => {}
                Ok(Some(_)) => return Ok(()),
            }
        }
    }
}

/// Connects, and listens.
async fn connect(target: &ConnectionString) -> Result<(MonitorConnection, Notifications), MonitorError> {
    let hosts = u32::try_from(target.hosts.len()).unwrap_or(u32::MAX);
    timed("connecting to it", ATTEMPT_DEADLINE.saturating_mul(hosts.max(1)), async {
        let (monitor, notifications) = MonitorConnection::connect(target).await?;
        monitor.listen_state().await?;
        monitor.listen_log().await?;
        Ok((monitor, notifications))
    })
    .await
}
