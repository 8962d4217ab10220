//! The calls that wait, and the tasks that run them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pgaf_core::keeper::HookKind;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::call::Call;
use super::counters::{Counted, HookCounters};
use super::program::{self, Failure};
use crate::config::HookCommand;

/// A program may take this long.
const LIMIT: Duration = Duration::from_secs(10);
/// So many calls of one hook may wait.
const MOST_WAITING: usize = 64;

/// Calls hooks. A clone calls the same.
#[derive(Clone, Default)]
pub struct Hooks(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lanes: Mutex<BTreeMap<HookKind, Lane>>,
    /// A lane has become empty.
    rests: Notify,
    counters: Arc<HookCounters>,
}

/// The calls of one hook.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<(HookCommand, Call)>,
    is_running: bool,
}

impl Hooks {
    /// What has been counted so far, and will be.
    pub fn counters(&self) -> Arc<HookCounters> {
        Arc::clone(&self.0.counters)
    }

    /// Has it called when the calls before have ended, and does not wait. When too many wait, the oldest of them is
    /// dropped: the newest says how things are.
    pub fn call(&self, command: HookCommand, call: Call) {
        let kind = call.kind;
        let mut lanes = self.lanes();
        let lane = lanes.entry(kind).or_default();
        if lane.waiting.len() >= MOST_WAITING {
            lane.waiting.pop_front();
            self.0.counters.count(kind, Counted::Dropped);
            tracing::warn!("a call of hook {kind} was dropped: {MOST_WAITING} calls wait already");
        }
        lane.waiting.push_back((command, call));
        if !std::mem::replace(&mut lane.is_running, true) {
            tokio::spawn(self.clone().run_lane(kind));
        }
    }

    /// Calls it and waits for its end.
    ///
    /// # Errors
    /// It did not end well, for people to read.
    pub async fn ask(&self, command: &HookCommand, call: &Call) -> Result<(), String> {
        self.run(command, call).await
    }

    /// Waits until no call runs or waits, but not for long.
    pub async fn finish(&self) {
        let rests = async {
            loop {
                let rested = self.0.rests.notified();
                if self.lanes().values().all(|lane| !lane.is_running) {
                    return;
                }
                rested.await;
            }
        };
        if timeout(LIMIT, rests).await.is_err() {
            tracing::warn!(
                "not waiting for hooks any longer: not all have ended within {} s",
                LIMIT.as_secs()
            );
        }
    }

    async fn run_lane(self, kind: HookKind) {
        while let Some((command, call)) = self.next(kind) {
            // What went wrong is logged and counted.
            let _outcome = self.run(&command, &call).await;
        }
        self.0.rests.notify_waiters();
    }

    fn next(&self, kind: HookKind) -> Option<(HookCommand, Call)> {
        let mut lanes = self.lanes();
        let lane = lanes.entry(kind).or_default();
        let next = lane.waiting.pop_front();
        lane.is_running = next.is_some();
        next
    }

    async fn run(&self, command: &HookCommand, call: &Call) -> Result<(), String> {
        let (kind, counters) = (call.kind, &self.0.counters);
        counters.count(kind, Counted::Call);
        let began = Instant::now();
        match program::run(command, call, LIMIT).await {
            Ok(output) => {
                let separator = if output.is_empty() { "" } else { ": " };
                tracing::debug!(
                    "hook {kind} ended after {} ms{separator}{output}",
                    began.elapsed().as_millis()
                );
                Ok(())
            }
            Err(failure) => {
                let counted = match failure {
                    Failure::TimedOut(_) => Counted::Timeout,
                    _ => Counted::Failure,
                };
                counters.count(kind, counted);
                let what = format!("hook {kind} \"{}\" {failure}", command.program());
                tracing::warn!("{what}");
                Err(what)
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<HookKind, Lane>> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shell(script: &str) -> HookCommand {
        format!("/bin/sh -c {}", shlex::try_quote(script).expect("quotable")).parse().expect("a command")
    }

    fn call(kind: HookKind, number: u32) -> Call {
        Call::new(kind, vec![("number", json!(number))])
    }

    fn count(hooks: &Hooks, kind: HookKind) -> super::super::HookCount {
        let counts = hooks.counters().read();
        counts.into_iter().find(|(known, _)| *known == kind).expect("counted").1
    }

    #[tokio::test]
    async fn calls_of_a_hook_keep_their_order_and_read_what_they_are_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("calls");
        let script = format!(
            "read line; case $PGAF_NUMBER in 1) sleep 0.3;; esac; echo $PGAF_HOOK $PGAF_NUMBER \"$line\" >> {}",
            file.display()
        );
        let hooks = Hooks::default();
        for number in 1..=3 {
            hooks.call(shell(&script), call(HookKind::Start, number));
        }
        hooks.finish().await;
        let said = std::fs::read_to_string(&file).expect("written");
        let line = |number| format!("on_start {number} {{\"hook\":\"on_start\",\"number\":{number}}}\n");
        assert_eq!(said, (1..=3).map(line).collect::<String>());
        assert_eq!(count(&hooks, HookKind::Start).calls, 3);
    }

    #[tokio::test]
    async fn failures_floods_and_missing_programs_are_counted() {
        let hooks = Hooks::default();
        for script in ["echo no >&2; exit 3", "while :; do echo 0123456789; done"] {
            hooks.call(shell(script), call(HookKind::Stop, 1));
        }
        hooks.call("/nowhere/program".parse().expect("a command"), call(HookKind::Stop, 1));
        hooks.finish().await;
        let counted = count(&hooks, HookKind::Stop);
        assert_eq!((counted.calls, counted.failures, counted.timeouts), (3, 3, 0));
        let refused = hooks.ask(&shell("echo not now; exit 1"), &call(HookKind::BeforePromote, 1)).await;
        assert!(refused.expect_err("refuses").contains("not now"));
        let ended = hooks.ask(&shell("true"), &call(HookKind::BeforePromote, 1)).await;
        assert_eq!(ended, Ok(()));
    }

    #[tokio::test]
    async fn too_many_calls_drop_the_oldest_that_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("calls");
        let script = format!("echo $PGAF_NUMBER >> {}", file.display());
        let hooks = Hooks::default();
        let total = u32::try_from(MOST_WAITING).expect("small") + 5;
        for number in 1..=total {
            // Nothing runs before this task waits for something.
            hooks.call(shell(&script), call(HookKind::RoleChange, number));
        }
        hooks.finish().await;
        let said = std::fs::read_to_string(&file).expect("written");
        assert_eq!(said, (6..=total).map(|number| format!("{number}\n")).collect::<String>());
        assert_eq!(count(&hooks, HookKind::RoleChange).dropped, 5);
    }
}
