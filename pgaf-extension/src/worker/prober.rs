//! All probes, side by side on this one thread.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use pgaf_core::{Health, NodeId};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::names::Names;
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
    names: Names,
    tasks: HashMap<Target, JoinHandle<()>>,
    sender: mpsc::UnboundedSender<Verdict>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
}

impl Prober {
    pub(super) fn new(settings: Probing) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (sender, verdicts) = mpsc::unbounded_channel();
        let settings = watch::Sender::new(settings);
        let (names, tasks) = (Names::default(), HashMap::new());
        Ok(Self { runtime, settings, names, tasks, sender, verdicts })
    }

    /// From the next round on.
    pub(super) fn set(&self, settings: Probing) {
        self.settings.send_replace(settings);
    }

    /// Starts to probe whom it does not probe yet, and stops with the others. Many that are new are begun one after the
    /// other within a period, so that their probes do not all fall due at once for ever.
    pub(super) fn follow(&mut self, targets: HashSet<Target>) {
        self.tasks.retain(|target, task| {
            let is_wanted = targets.contains(target);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        let new: Vec<Target> =
            targets.into_iter().filter(|target| !self.tasks.contains_key(target)).collect();
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let period = self.settings.borrow().period;
        for (place, target) in (0_u32..).zip(new) {
            let begin_after = period * place / count;
            let node = target.node;
            let address = Address::new(target.host.clone(), target.port, self.names.clone());
            let (settings, sender) = (self.settings.subscribe(), self.sender.clone());
            let task = watch_node(node, address, begin_after, settings, sender);
            self.tasks.insert(target, self.runtime.spawn(task));
        }
    }

    /// Lets the probes run until there is a verdict that `is_news`, or until the limit. Gives every one that has come.
    pub(super) fn run(&mut self, limit: Duration, is_news: impl Fn(&Verdict) -> bool) -> Vec<Verdict> {
        let verdicts = &mut self.verdicts;
        self.runtime.block_on(async {
            let deadline = Instant::now() + limit;
            let mut news = Vec::new();
            while let Ok(Some(verdict)) = timeout_at(deadline, verdicts.recv()).await {
                if is_news(&verdict) {
                    news.push(verdict);
                    break;
                }
            }
            while let Ok(verdict) = verdicts.try_recv() {
                if is_news(&verdict) {
                    news.push(verdict);
                }
            }
            news
        })
    }
}

/// Rounds of probes of one node, for ever.
async fn watch_node(
    node: NodeId,
    address: Address,
    begin_after: Duration,
    settings: watch::Receiver<Probing>,
    verdicts: mpsc::UnboundedSender<Verdict>,
) {
    sleep(begin_after).await;
    loop {
        let probing = *settings.borrow();
        let health = round(&address, probing).await;
        if verdicts.send(Verdict { node, health }).is_err() {
            return;
        }
        sleep(probing.period).await;
    }
}

/// Good at the first answer, bad when no attempt has one.
async fn round(address: &Address, probing: Probing) -> Health {
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
