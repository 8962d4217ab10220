//! Programs of the user that are called when something happens.
//!
//! When one is called is decided elsewhere. Here it runs: as the user of this process, in a process group of its own, with
//! a time limit, with what happened in its environment and as JSON on its standard input. Nothing waits for one, but for
//! whoever asks [`Hooks::ask`]. Calls of the same hook run one after the other, in the order in which they were made;
//! a queue is bounded, and the oldest call that waits gives way. What goes wrong is a line of the log, and counted.

mod call;
mod counters;
mod program;
mod queue;

pub use call::{Call, NodeFacts};
pub use counters::{HookCount, HookCounters};
pub use queue::Hooks;
