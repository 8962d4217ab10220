//! The monitor over HTTP: its page, what is news on it, metrics of all nodes, and its own health.

mod failovers;
mod picture;

mod bulletin;

mod stream;

mod site;

mod feed;

pub use feed::feed;
pub use site::MonitorSite;
