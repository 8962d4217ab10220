//! One exchange of a monitor's agent with the other monitors: report, take the answer.

use pgaf_core::monitors::{Monitors, Reply, What};
use pgaf_core::{Assignment, NodeId, Report};
use tokio::sync::watch;

use super::link::Exchange;
use crate::monitor::MonitorError;
use crate::monitors::Handle;
use crate::postgres::BootTime;

/// The monitors, which say together what the Postgres of each of them shall be.
pub(super) struct Council {
    node: NodeId,
    handle: Handle,
    agreed: watch::Receiver<Monitors>,
    /// The assignment of this node that was seen last.
    seen: Option<Assignment>,
}

impl Council {
    pub(super) fn new(node: NodeId, handle: Handle) -> Self {
        Self { node, agreed: handle.agreed(), handle, seen: None }
    }

    /// The exchange, as a future that does not borrow this.
    pub(super) fn exchange(&self, report: Report) -> impl Future<Output = Exchange> + 'static {
        let (handle, node) = (self.handle.clone(), self.node);
        let number = report.detail.number.unwrap_or_default();
        async move {
            let sent = BootTime::now();
            let result = match handle.submit(What::Report { node, report: Box::new(report) }).await {
                Ok(Reply::Answer(answer)) => Ok(*answer),
                Ok(Reply::Unknown) => Err(MonitorError::NodeDropped(node)),
                Ok(Reply::Done | Reply::Number(_)) => {
                    Err(MonitorError::Protocol("no answer to a report".to_owned()))
                }
                Ok(Reply::Refused(reason)) => Err(MonitorError::Protocol(reason)),
                Err(reason) => Err(MonitorError::Lost(reason)),
            };
            Exchange::with_monitors(sent, number, result)
        }
    }

    /// Waits until the monitors have agreed on something new for this node.
    pub(super) async fn notified(&mut self) {
        loop {
            if self.agreed.changed().await.is_err() {
                return std::future::pending().await;
            }
            let assignment = {
                let monitors = self.agreed.borrow_and_update();
                monitors.group.as_ref().and_then(|group| pgaf_core::monitor::assignment_for(group, self.node))
            };
            if assignment != self.seen {
                self.seen = assignment;
                return;
            }
        }
    }
}
