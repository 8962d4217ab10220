//! What a keeper has sent earlier never takes the place of what it has sent later.

use pgaf_core::NodeId;

use super::Verdict;

/// The newest report of each node that was recorded, as the keepers have sent them.
#[derive(Debug, Default)]
pub(crate) struct ReportOrder(Vec<(NodeId, u64)>);

impl ReportOrder {
    /// A report was recorded.
    pub(crate) fn check(&mut self, node: NodeId, exchange: u64) -> Verdict {
        let Some((_, newest)) = self.0.iter_mut().find(|(other, _)| *other == node) else {
            self.0.push((node, exchange));
            return Ok(());
        };
        let before = std::mem::replace(newest, exchange.max(*newest));
        if exchange >= before {
            return Ok(());
        }
        Err(format!("report {exchange} of node {node} was recorded after report {before}"))
    }
}
