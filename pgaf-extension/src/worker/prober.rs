//! All probes, side by side on this one thread.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use pgaf_core::{Health, NodeId};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::probe::Address;
use crate::gucs::Probing;

/// What a round of probes says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) node: NodeId,
    pub(super) health: Health,
}

/// A node to probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) node: NodeId,
    pub(super) host: String,
    pub(super) port: u16,
}

/// One task a node.
pub(super) struct Prober {
    runtime: Runtime,
    settings: watch::Sender<Probing>,
    tasks: HashMap<Target, JoinHandle<()>>,
    sender: mpsc::UnboundedSender<Verdict>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
}

impl Prober {
    pub(super) fn new(settings: Probing) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (sender, verdicts) = mpsc::unbounded_channel();
        let settings = watch::Sender::new(settings);
        Ok(Self { runtime, settings, tasks: HashMap::new(), sender, verdicts })
    }

    /// From the next round on.
    pub(super) fn set(&self, settings: Probing) {
        self.settings.send_replace(settings);
    }

    /// Starts to probe whom it does not probe yet, and stops with the others.
    pub(super) fn follow(&mut self, targets: Vec<Target>) {
        self.tasks.retain(|target, task| {
            let is_wanted = targets.contains(target);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        for target in targets {
            if !self.tasks.contains_key(&target) {
                let task = watch_node(target.clone(), self.settings.subscribe(), self.sender.clone());
                self.tasks.insert(target, self.runtime.spawn(task));
            }
        }
    }

    /// Lets the probes run until there is a verdict that `is_news`, or until the limit.
    pub(super) fn run(&mut self, limit: Duration, is_news: impl Fn(&Verdict) -> bool) -> Option<Verdict> {
        let verdicts = &mut self.verdicts;
        self.runtime.block_on(async {
            let deadline = Instant::now() + limit;
            while let Ok(Some(verdict)) = timeout_at(deadline, verdicts.recv()).await {
                if is_news(&verdict) {
                    return Some(verdict);
                }
            }
            None
        })
    }
}

/// Rounds of probes of one node, for ever.
async fn watch_node(
    target: Target,
    settings: watch::Receiver<Probing>,
    verdicts: mpsc::UnboundedSender<Verdict>,
) {
    let mut address = Address::new(target.host, target.port);
    loop {
        let probing = *settings.borrow();
        let health = round(&mut address, probing).await;
        if verdicts.send(Verdict { node: target.node, health }).is_err() {
            return;
        }
        sleep(probing.period).await;
    }
}

/// Good at the first answer, bad when no attempt has one.
async fn round(address: &mut Address, probing: Probing) -> Health {
    for attempt in 0..=probing.max_retries {
        if attempt > 0 {
            sleep(probing.retry_delay).await;
        }
        if address.answers(probing.timeout).await {
            return Health::Good;
        }
    }
    Health::Bad
}
