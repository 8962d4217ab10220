//! One session that is kept open for what must not fail: when all connections are taken, or the role of the keeper can no
//! longer log in, standbys can still be waited for or not, and a standby can be promoted.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::config::InstanceConfig;
use super::connection::{LocalSession, connect, within};
use super::files::Files;

/// How long it may take to open the session, to see that it lives, and to get it from another step.
const DEADLINE: Duration = Duration::from_millis(1500);

/// The kept session.
#[derive(Default)]
pub(in crate::postgres) struct Reserve(Arc<Mutex<Option<Kept>>>);

/// A session with this postmaster.
pub(in crate::postgres) struct Kept {
    postmaster: i32,
    session: LocalSession,
}

/// A session for a step.
pub(in crate::postgres) enum Session {
    /// Its own.
    New(LocalSession),
    /// The kept one, until the step ends.
    Kept(OwnedMappedMutexGuard<Option<Kept>, LocalSession>),
}

impl Reserve {
    /// Opens the session when there is none with this postmaster. A failure is no news: whoever looks has a session.
    pub(in crate::postgres) async fn fill(&self, files: &Files, config: &InstanceConfig, postmaster: i32) {
        // A step that uses it has it.
        let Ok(mut kept) = self.0.try_lock() else { return };
        let is_good = |kept: &Kept| kept.postmaster == postmaster && !kept.session.is_closed();
        if kept.as_ref().is_some_and(is_good) {
            return;
        }
        *kept = None;
        match connect(files, config, "postgres", DEADLINE).await {
            Ok(session) => *kept = Some(Kept { postmaster, session }),
            Err(error) => tracing::debug!("no session is kept: {error}"),
        }
    }

    /// The kept session, when there is one with this postmaster that answers.
    pub(in crate::postgres) async fn borrow(&self, postmaster: Option<i32>) -> Option<Session> {
        let mut kept = within(DEADLINE, "the kept session", Arc::clone(&self.0).lock_owned()).await.ok()?;
        let found = kept.as_ref().filter(|kept| Some(kept.postmaster) == postmaster)?;
        let answers = within(DEADLINE, "the kept session", found.session.batch_execute("")).await;
        if !matches!(answers, Ok(Ok(()))) {
            *kept = None;
            return None;
        }
        OwnedMutexGuard::try_map(kept, |kept| kept.as_mut().map(|kept| &mut kept.session))
            .ok()
            .map(Session::Kept)
    }
}

impl Deref for Session {
    type Target = LocalSession;

    fn deref(&self) -> &LocalSession {
        match self {
            Self::New(session) => session,
            Self::Kept(session) => session,
        }
    }
}
