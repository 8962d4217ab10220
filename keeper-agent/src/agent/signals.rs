//! The signals of a supervisor, with the meaning they have for Postgres.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What the supervisor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGTERM: hand over if possible, stop Postgres cleanly, and end.
    Stop,
    /// SIGINT: the same without asking for a hand-over first.
    StopFast,
    /// SIGQUIT: stop Postgres as if it crashed, and end.
    StopNow,
    /// SIGHUP: read the configuration again.
    Reload,
}

pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    quit: Stream,
    hangup: Stream,
}

impl Signals {
    pub(super) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.quit.recv() => Request::StopNow,
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::StopFast,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
