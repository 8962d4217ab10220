//! What a node and the monitor tell over HTTP: health checks for load balancers, metrics, and the monitor's page.
//!
//! It reads and never changes anything. A thread of its own answers from what was published last, so that neither Postgres
//! nor the monitor nor the keeper's loop can hold up an answer, and no client can hold up the keeper. What was published
//! has an age, and what depends on time is judged when it is asked for: a primary whose authority has ended is no primary,
//! whether or not its keeper has noticed.

mod answer;
mod counters;
mod lives;
mod secret;

mod server;

mod snapshot;

mod health;

mod metrics;

mod monitor;
mod node;

pub use counters::{Counters, note_discarded_log_message};
pub use monitor::{MonitorSite, feed};
pub use node::NodeSite;
pub use secret::{SecretError, ensure_secret};
pub use server::{Http, Settings};
pub use snapshot::{Identity, NodeSnapshot, Seen};
