//! File work off the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

/// While an earlier piece of work hangs, the next ones do not wait their whole time for its end.
const WAIT_BEHIND_HUNG: Duration = Duration::from_millis(50);

/// Does pieces of file work on a thread that may hang with its disk: one piece at a time, in the order in which they are
/// asked for. So each file has one writer, and a disk that hangs holds one thread. Copies are the same worker.
#[derive(Clone, Debug, Default)]
pub struct FileWorker(Arc<Turn>);

#[derive(Debug, Default)]
struct Turn {
    turn: Arc<Mutex<()>>,
    /// The piece that has the turn has not ended by its deadline.
    is_hung: AtomicBool,
}

/// A piece of work was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not done within {} s", .after.as_secs_f32())]
pub struct Late {
    /// How long it was waited for.
    pub after: Duration,
}

impl FileWorker {
    /// Does the work when all that was asked for before has ended. One that is given up before it has begun, because it is
    /// late or because this future is dropped, is never done; one that has begun goes on, and the next wait for it.
    ///
    /// # Errors
    /// It has not ended within the deadline.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Late> {
        let late = |_| Late { after: deadline };
        let patience = if self.is_hung() { WAIT_BEHIND_HUNG.min(deadline) } else { deadline };
        let give_up = tokio::time::Instant::now() + deadline;
        let turn = tokio::time::timeout(patience, Arc::clone(&self.0.turn).lock_owned());
        let turn = turn.await.map_err(late)?;
        let state = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            state.is_hung.store(false, Ordering::SeqCst);
            drop(turn);
            done
        });
        match tokio::time::timeout_at(give_up, done).await {
            Ok(Ok(done)) => Ok(done),
            // A panic is a defect; it must not be taken for work that was done.
            Ok(Err(failure)) => match failure.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The program ends.
                Err(_) => std::future::pending().await,
            },
            Err(elapsed) => {
                self.0.note_hung();
                Err(late(elapsed))
            }
        }
    }

    /// An earlier piece of work was late and has not ended yet.
    pub fn is_hung(&self) -> bool {
        self.0.is_hung.load(Ordering::SeqCst)
    }
}

impl Turn {
    fn note_hung(&self) {
        self.is_hung.store(true, Ordering::SeqCst);
        // It may have ended just now, before this was noted.
        if self.turn.try_lock().is_ok() {
            self.is_hung.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    /// Work that ends when it is told to, or nobody can tell it any more.
    fn hanging() -> (impl FnOnce() + Send + 'static, mpsc::Sender<()>) {
        let (go_on, wait) = mpsc::channel::<()>();
        let work = move || {
            let _ended_either_way = wait.recv();
        };
        (work, go_on)
    }

    #[tokio::test]
    async fn the_newer_of_two_writes_is_the_one_that_stays() {
        let worker = FileWorker::default();
        let file = Arc::new(std::sync::Mutex::new(0));
        let (wait, go_on) = hanging();
        let of_first = Arc::clone(&file);
        let first = worker.run(LONG, move || {
            wait();
            *of_first.lock().expect("locked") = 1;
        });
        // It is no longer waited for, and goes on.
        tokio::time::timeout(SHORT, first).await.expect_err("the first waits to be told");
        let of_second = Arc::clone(&file);
        let second = worker.run(LONG, move || *of_second.lock().expect("locked") = 2);
        tokio::pin!(second);
        tokio::time::timeout(SHORT, &mut second).await.expect_err("the second waits for the first");
        go_on.send(()).expect("it waits");
        second.await.expect("done");
        assert_eq!(*file.lock().expect("locked"), 2);
    }

    #[tokio::test]
    async fn what_is_given_up_before_it_begins_is_never_done() {
        let worker = FileWorker::default();
        let (wait, go_on) = hanging();
        worker.run(SHORT, wait).await.expect_err("late");
        assert!(worker.is_hung());
        let began = tokio::time::Instant::now();
        worker.run(LONG, || panic!("done after it was given up")).await.expect_err("behind one that hangs");
        assert!(began.elapsed() < LONG / 2, "it does not wait long for one that hangs");
        go_on.send(()).expect("it waits");
        worker.run(LONG, || ()).await.expect("the disk answers again");
        assert!(!worker.is_hung());
    }
}
