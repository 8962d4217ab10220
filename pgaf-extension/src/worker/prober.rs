//! All probes, side by side on this one thread.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgaf_core::{Health, NodeId};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::names::Names;
use super::probe::{Address, Echo};
use crate::gucs::Probing;
use crate::hang_up::{self, HangUp, MESSAGE_BYTES};

/// What probes say of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) node: NodeId,
    pub(super) finding: Finding,
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// By a round of probes.
    Health(Health),
    /// Nobody listens at its port: what it was asked to be examined for.
    Refuses,
}

/// What happened while the probes ran.
pub(super) struct News {
    pub(super) verdicts: Vec<Verdict>,
    /// Keepers that have hung up.
    pub(super) hang_ups: Vec<HangUp>,
}

/// A node whose keeper has hung up is probed for so long,
const EXAMINED_FOR: Duration = Duration::from_secs(3);
/// so often,
const EXAMINED_EVERY: Duration = Duration::from_millis(200);
/// and each probe may take so long.
const EXAMINATION_TIMEOUT: Duration = Duration::from_millis(500);
/// So many refusals, one after the other, say that nobody listens.
const REFUSALS: u32 = 2;

/// A node to probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) node: NodeId,
    pub(super) host: String,
    pub(super) port: u16,
}

/// What probes one node.
struct Task {
    handle: JoinHandle<()>,
    /// Has it examined at once.
    urge: Arc<Notify>,
}

/// One task a node.
pub(super) struct Prober {
    runtime: Runtime,
    settings: watch::Sender<Probing>,
    names: Names,
    tasks: HashMap<Target, Task>,
    hang_ups: Option<Receiver>,
    sender: mpsc::UnboundedSender<Verdict>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
}

impl Prober {
    pub(super) fn new(settings: Probing) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (sender, verdicts) = mpsc::unbounded_channel();
        let settings = watch::Sender::new(settings);
        let (names, tasks) = (Names::default(), HashMap::new());
        let hang_ups = {
            let _context = runtime.enter();
            hang_up::reader()?.map(Receiver::from_owned_fd).transpose()?
        };
        Ok(Self { runtime, settings, names, tasks, hang_ups, sender, verdicts })
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
                task.handle.abort();
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
            let urge = Arc::new(Notify::new());
            let watch = Watch { node, address, settings, urge: Arc::clone(&urge), verdicts: sender };
            let handle = self.runtime.spawn(watch.go_on(begin_after));
            self.tasks.insert(target, Task { handle, urge });
        }
    }

    /// Finds out at once whether anybody listens there.
    pub(super) fn examine(&self, target: &Target) {
        if let Some(task) = self.tasks.get(target) {
            task.urge.notify_one();
        }
    }

    /// Lets the probes run until there is a verdict that `is_news`, until a keeper hangs up, or until the limit. Gives all
    /// that has come.
    pub(super) fn run(&mut self, limit: Duration, is_news: impl Fn(&Verdict) -> bool) -> News {
        let (verdicts, pipe) = (&mut self.verdicts, &self.hang_ups);
        self.runtime.block_on(async {
            let deadline = Instant::now() + limit;
            let mut news = News { verdicts: Vec::new(), hang_ups: Vec::new() };
            loop {
                tokio::select! {
                    verdict = verdicts.recv() => match verdict.filter(&is_news) {
                        Some(verdict) => {
                            news.verdicts.push(verdict);
                            break;
                        }
                        None => continue,
                    },
                    hang_ups = hang_ups(pipe.as_ref()) => {
                        news.hang_ups = hang_ups;
                        break;
                    }
                    () = sleep_until(deadline) => break,
                }
            }
            while let Ok(verdict) = verdicts.try_recv() {
                if is_news(&verdict) {
                    news.verdicts.push(verdict);
                }
            }
            news
        })
    }
}

/// The next keepers that hang up.
async fn hang_ups(pipe: Option<&Receiver>) -> Vec<HangUp> {
    let Some(pipe) = pipe else { return std::future::pending().await };
    let mut bytes = [0; 64 * MESSAGE_BYTES];
    while pipe.readable().await.is_ok() {
        if let Ok(length) = pipe.try_read(&mut bytes) {
            return hang_up::understand(&bytes[..length]);
        }
    }
    std::future::pending().await
}

/// The probes of one node.
struct Watch {
    node: NodeId,
    address: Address,
    settings: watch::Receiver<Probing>,
    urge: Arc<Notify>,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Watch {
    /// Rounds of probes, for ever; what is urgent comes in between.
    async fn go_on(self, begin_after: Duration) {
        sleep(begin_after).await;
        loop {
            let probing = *self.settings.borrow();
            let round = async {
                let health = round(&self.address, probing).await;
                // Nobody is left to hear it.
                let is_heard = self.tell(Finding::Health(health));
                sleep(probing.period).await;
                is_heard
            };
            tokio::select! {
                biased;
                () = self.urge.notified() => {
                    if self.refuses().await {
                        self.tell(Finding::Refuses);
                    }
                }
                is_heard = round => if !is_heard { return },
            }
        }
    }

    fn tell(&self, finding: Finding) -> bool {
        self.verdicts.send(Verdict { node: self.node, finding }).is_ok()
    }

    /// Whether it comes to refuse connections soon: the processes of a host do not die in one moment.
    async fn refuses(&self) -> bool {
        let deadline = Instant::now() + EXAMINED_FOR;
        let mut refusals = 0;
        while Instant::now() < deadline {
            match self.address.probe(EXAMINATION_TIMEOUT).await {
                Echo::Refusal => refusals += 1,
                Echo::Answer | Echo::Silence => refusals = 0,
            }
            if refusals >= REFUSALS {
                return true;
            }
            sleep(EXAMINED_EVERY).await;
        }
        false
    }
}

/// Good at the first answer, bad when no attempt has one. An attempt does not wait for the end of the one before: how long
/// a silent host takes depends little on how many there are.
async fn round(address: &Address, probing: Probing) -> Health {
    let mut attempts = JoinSet::new();
    for number in 0..=probing.max_retries {
        let address = address.clone();
        attempts.spawn(async move {
            sleep(probing.retry_delay * number).await;
            address.probe(probing.timeout).await
        });
    }
    while let Some(echo) = attempts.join_next().await {
        if matches!(echo, Ok(Echo::Answer)) {
            return Health::Good;
        }
    }
    Health::Bad
}
