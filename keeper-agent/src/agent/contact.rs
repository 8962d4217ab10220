//! One exchange with the monitor: connect when needed, report, take the answer.

use std::rc::Rc;

use pgaf_core::{Assignment, GroupId, NodeId, Report};

use crate::client::ConnectionString;
use crate::monitor::{MonitorConnection, MonitorError, Notification, Notifications};
use crate::postgres::BootTime;

/// The connection to the monitor, kept between exchanges.
pub(super) struct Link {
    /// `None` while the monitor is disabled.
    target: Option<ConnectionString>,
    formation: String,
    connection: Option<Rc<MonitorConnection>>,
    notifications: Option<Notifications>,
}

/// What came of an exchange.
pub(super) struct Answer {
    /// When the request was sent; for a failed connection, when that was begun.
    pub(super) sent: BootTime,
    /// The report it was about.
    pub(super) report: Report,
    /// The monitor's word.
    pub(super) result: Result<Assignment, MonitorError>,
    /// A connection made for this exchange.
    opened: Option<(Rc<MonitorConnection>, Notifications)>,
}

impl Link {
    pub(super) const fn new(target: Option<ConnectionString>, formation: String) -> Self {
        Self { target, formation, connection: None, notifications: None }
    }

    /// The exchange, as a future that does not borrow the link; `None` without a monitor.
    pub(super) fn exchange(
        &self,
        node: NodeId,
        group: GroupId,
        report: Report,
    ) -> Option<impl Future<Output = Answer> + 'static> {
        let (target, formation) = (self.target.clone()?, self.formation.clone());
        let connection = self.connection.clone().filter(|connection| !connection.is_closed());
        Some(async move {
            let mut sent = BootTime::now();
            let (connection, opened) = match connection {
                Some(connection) => (connection, None),
                None => match open(&target, node).await {
                    Ok((connection, notifications)) => {
                        let connection = Rc::new(connection);
                        (connection.clone(), Some((connection, notifications)))
                    }
                    Err(error) => return Answer { sent, report, result: Err(error), opened: None },
                },
            };
            sent = BootTime::now().max(sent);
            let result = connection.node_active(&formation, node, group, &report).await;
            Answer { sent, report, result, opened }
        })
    }

    /// Keeps the connection of a good exchange, and closes that of a bad one.
    pub(super) fn settle(&mut self, answer: &mut Answer) {
        let is_broken = matches!(&answer.result, Err(error) if error.is_transient());
        if is_broken {
            self.connection = None;
            self.notifications = None;
        } else if let Some((connection, notifications)) = answer.opened.take() {
            self.connection = Some(connection);
            self.notifications = Some(notifications);
        }
    }

    /// Forgets the connection: the next exchange opens one to this target.
    pub(super) fn retarget(&mut self, target: Option<ConnectionString>) {
        self.target = target;
        self.connection = None;
        self.notifications = None;
    }

    /// Waits until the monitor has something new for this node, or the connection is lost.
    pub(super) async fn notified(&mut self) {
        let Some(notifications) = &mut self.notifications else {
            return std::future::pending().await;
        };
        loop {
            match notifications.recv().await {
                Some(Notification::Assigned { .. }) => return,
                Some(_) => {}
                None => {
                    self.connection = None;
                    self.notifications = None;
                    return;
                }
            }
        }
    }
}

async fn open(
    target: &ConnectionString,
    node: NodeId,
) -> Result<(MonitorConnection, Notifications), MonitorError> {
    let (connection, notifications) = MonitorConnection::connect(target).await?;
    connection.listen_node(node).await?;
    Ok((connection, notifications))
}
