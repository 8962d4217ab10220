//! A place for one operation that is under way, to be awaited beside others.

use std::future::Future;
use std::pin::Pin;

/// Holds at most one future. Awaiting an empty slot never ends; a wait that is given up loses nothing.
pub(super) struct Slot<T>(Option<Operation<T>>);

type Operation<T> = Pin<Box<dyn Future<Output = T>>>;

impl<T> Slot<T> {
    pub(super) const fn empty() -> Self {
        Self(None)
    }

    /// Starts an operation; one that was under way is given up.
    pub(super) fn start(&mut self, operation: impl Future<Output = T> + 'static) {
        self.0 = Some(Box::pin(operation));
    }

    /// Gives up the operation that is under way.
    pub(super) fn cancel(&mut self) {
        self.0 = None;
    }

    /// Waits for the operation and empties the slot.
    pub(super) async fn done(&mut self) -> T {
        match &mut self.0 {
            Some(operation) => {
                let output = operation.await;
                self.0 = None;
                output
            }
            None => std::future::pending().await,
        }
    }
}
