//! The signals of a supervisor, with the meaning they have for Postgres.

use pgaf_core::keeper::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

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

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.quit.recv() => Signal::StopImmediately,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::StopFast,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
