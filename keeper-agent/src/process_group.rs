//! A program and all that it has started, which end together when nobody waits for it any more.

use rustix::process::{Pid, Signal, kill_process_group};

/// Kills a process group when it is dropped before it was disarmed.
pub(crate) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// The group that this process leads; none of a process that has ended.
    pub(crate) fn of(pid: Option<u32>) -> Self {
        Self(pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }

    /// The program has ended by itself.
    pub(crate) const fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!("could not kill process group {group}: {error}");
        }
    }
}
