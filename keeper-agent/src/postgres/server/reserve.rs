//! One session that stays open for what must not fail: when all connections are taken, or the role of the keeper can no
//! longer log in, standbys can still be waited for or not, and a standby can be promoted.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use crate::client::within;

use super::config::InstanceConfig;
use super::connection::{LocalSession, connect};
use super::files::Files;

/// How long it may take to open the session, to see that it lives, and to get it from another step.
const DEADLINE: Duration = Duration::from_millis(1500);

/// The reserved session.
#[derive(Default)]
pub(in crate::postgres) struct Reserve(Arc<Mutex<Option<ReservedSession>>>);

/// A session with this postmaster.
pub(in crate::postgres) struct ReservedSession {
    postmaster: i32,
    session: LocalSession,
}

/// A session for a step.
pub(in crate::postgres) enum Session {
    /// Its own.
    New(LocalSession),
    /// The reserved one, until the step ends.
    Reserved(OwnedMappedMutexGuard<Option<ReservedSession>, LocalSession>),
}

impl Reserve {
    /// Opens the session when there is none with this postmaster. A failure is no news: whoever looks has a session.
    pub(in crate::postgres) async fn fill(&self, files: &Files, config: &InstanceConfig, postmaster: i32) {
        // A step that uses it has it.
        let Ok(mut reserved) = self.0.try_lock() else { return };
        let is_good =
            |reserved: &ReservedSession| reserved.postmaster == postmaster && !reserved.session.is_closed();
        if reserved.as_ref().is_some_and(is_good) {
            return;
        }
        *reserved = None;
        match connect(files, config, "postgres", DEADLINE).await {
            Ok(session) => *reserved = Some(ReservedSession { postmaster, session }),
            Err(error) => tracing::debug!("no session could be reserved: {error}"),
        }
    }

    /// The reserved session, when there is one with this postmaster that answers.
    pub(in crate::postgres) async fn borrow(&self, postmaster: Option<i32>) -> Option<Session> {
        let mut reserved =
            within(DEADLINE, "the reserved session", Arc::clone(&self.0).lock_owned()).await.ok()?;
        let found = reserved.as_ref().filter(|reserved| Some(reserved.postmaster) == postmaster)?;
        let answers = within(DEADLINE, "the reserved session", found.session.batch_execute("")).await;
        if !matches!(answers, Ok(Ok(()))) {
            *reserved = None;
            return None;
        }
        OwnedMutexGuard::try_map(reserved, |reserved| reserved.as_mut().map(|reserved| &mut reserved.session))
            .ok()
            .map(Session::Reserved)
    }
}

impl Deref for Session {
    type Target = LocalSession;

    fn deref(&self) -> &LocalSession {
        match self {
            Self::New(session) => session,
            Self::Reserved(session) => session,
        }
    }
}
