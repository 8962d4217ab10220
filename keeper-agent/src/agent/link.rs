//! One exchange with the monitor: connect when needed, report, take the answer.

use std::rc::Rc;

use pgaf_core::{Answer, FormationNode, GroupId, NodeId, Report, ReportNumber, TimelineHistory};

use crate::client::{ConnectionString, Host};
use crate::monitor::{MonitorConnection, MonitorError, Notification, Notifications};
use crate::postgres::BootTime;

/// The connection to the monitor, kept between exchanges.
pub(super) struct Link {
    /// `None` while the monitor is disabled.
    target: Option<ConnectionString>,
    formation: String,
    node: NodeId,
    group: GroupId,
    /// All nodes of the formation are read with every report, and a change of any is a reason for one.
    reads_formation: bool,
    connection: Option<Rc<MonitorConnection>>,
    notifications: Option<Notifications>,
    /// The history that the monitor was told over this connection.
    told: Option<TimelineHistory>,
    /// The monitors have become others.
    has_new_monitors: bool,
}

/// What came of an exchange.
pub(super) struct Exchange {
    /// When the request was sent; for a failed connection, when that was begun.
    pub(super) sent: BootTime,
    /// The report it was about.
    pub(super) number: ReportNumber,
    /// The history that was told with it.
    told: Option<TimelineHistory>,
    /// What the monitor says.
    pub(super) result: Result<Answer, MonitorError>,
    /// The nodes of the formation, as they were right after that.
    pub(super) nodes: Option<Vec<FormationNode>>,
    /// Where the servers of several monitors are, when that was read.
    pub(super) monitors: Vec<Host>,
    /// A connection made for this exchange.
    opened: Option<(Rc<MonitorConnection>, Notifications)>,
}

impl Exchange {
    /// One that needed no connection of its own.
    pub(super) const fn with_monitors(
        sent: BootTime,
        number: ReportNumber,
        result: Result<Answer, MonitorError>,
    ) -> Self {
        Self { sent, number, told: None, result, nodes: None, monitors: Vec::new(), opened: None }
    }
}

impl Link {
    pub(super) const fn new(
        target: Option<ConnectionString>,
        formation: String,
        (node, group): (NodeId, GroupId),
        reads_formation: bool,
    ) -> Self {
        Self {
            target,
            formation,
            node,
            group,
            reads_formation,
            connection: None,
            notifications: None,
            told: None,
            has_new_monitors: false,
        }
    }

    /// The exchange, as a future that does not borrow the link; `None` without a monitor. The history is sent to whom
    /// it is news.
    pub(super) fn exchange(&self, mut report: Report) -> Option<impl Future<Output = Exchange> + 'static> {
        let (target, formation) = (self.target.clone()?, self.formation.clone());
        let (node, group) = (self.node, self.group);
        let number = report.detail.number.unwrap_or_default();
        let reads_formation = self.reads_formation;
        let connection = self.connection.clone().filter(|connection| !connection.is_closed());
        let reads_monitors = connection.is_none() || self.has_new_monitors;
        if connection.is_some() && self.told == report.detail.history {
            report.detail.history = None;
        }
        Some(async move {
            let mut sent = BootTime::now();
            let (connection, opened) = match connection {
                Some(connection) => (connection, None),
                None => match open(&target, node, reads_formation).await {
                    Ok((connection, notifications)) => {
                        let connection = Rc::new(connection);
                        (connection.clone(), Some((connection, notifications)))
                    }
                    Err(error) => {
                        let result = Err(error);
                        return Exchange::with_monitors(sent, number, result);
                    }
                },
            };
            sent = BootTime::now().max(sent);
            let result = connection.node_active(&formation, node, group, &report).await;
            let nodes = if reads_formation && result.is_ok() {
                read_formation(&connection, &formation).await
            } else {
                None
            };
            let monitors =
                if reads_monitors && result.is_ok() { read_monitors(&connection).await } else { Vec::new() };
            Exchange { sent, number, told: report.detail.history, result, nodes, monitors, opened }
        })
    }

    /// Keeps the connection of a good exchange, and closes that of a bad one.
    pub(super) fn settle(&mut self, exchange: &mut Exchange) {
        let is_broken = matches!(&exchange.result, Err(error) if error.is_transient());
        if is_broken {
            self.disconnect();
            return;
        }
        if !exchange.monitors.is_empty() {
            self.has_new_monitors = false;
        }
        if let Some((connection, notifications)) = exchange.opened.take() {
            self.disconnect();
            self.connection = Some(connection);
            self.notifications = Some(notifications);
        }
        let is_recorded = matches!(&exchange.result, Ok(answer) if answer.overtaken_by.is_none());
        if is_recorded && exchange.told.is_some() {
            self.told = exchange.told.take();
        }
    }

    /// Forgets the connection: the next exchange opens one to this target.
    pub(super) fn retarget(&mut self, target: Option<ConnectionString>) {
        self.target = target;
        self.disconnect();
    }

    /// The monitor is the same, and is found elsewhere when it has to be found again.
    pub(super) fn aim(&mut self, target: Option<ConnectionString>) {
        self.target = target;
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.notifications = None;
        self.told = None;
    }

    /// Waits until the monitor has something new for this node, or the connection is lost.
    pub(super) async fn notified(&mut self) {
        let Some(notifications) = &mut self.notifications else {
            return std::future::pending().await;
        };
        loop {
            match notifications.recv().await {
                Some(Notification::Assigned { .. }) => return,
                Some(Notification::State(change)) if change.formation == self.formation => return,
                Some(Notification::Monitors) => {
                    self.has_new_monitors = true;
                    return;
                }
                Some(_) => {}
                None => {
                    self.disconnect();
                    return;
                }
            }
        }
    }
}

async fn open(
    target: &ConnectionString,
    node: NodeId,
    reads_formation: bool,
) -> Result<(MonitorConnection, Notifications), MonitorError> {
    let (connection, notifications) = MonitorConnection::connect(target).await?;
    connection.listen_node(node).await?;
    if reads_formation {
        connection.listen_state().await?;
    }
    Ok((connection, notifications))
}

async fn read_formation(connection: &MonitorConnection, formation: &str) -> Option<Vec<FormationNode>> {
    match connection.formation_nodes(formation).await {
        Ok(nodes) => Some(nodes),
        Err(error) => {
            tracing::debug!("could not read the formation: {error}");
            None
        }
    }
}

async fn read_monitors(connection: &MonitorConnection) -> Vec<Host> {
    match connection.monitor_servers().await {
        Ok(servers) => servers,
        Err(error) => {
            tracing::debug!("where the monitors are cannot be read: {error}");
            Vec::new()
        }
    }
}
