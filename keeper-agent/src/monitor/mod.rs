//! The monitor, as keepers and commands talk to it: SQL functions over one connection, and notifications.
//!
//! Everything the monitor does is behind the functions of schema `pgautofailover`; nothing here decides anything.

mod arrangements;
mod board;
mod branches;
mod connection;
mod error;
mod formation_nodes;
mod notifications;
mod operations;
mod overview;
mod registration;
mod views;

pub use board::{Board, BoardEvent, BoardFormation, BoardGroup, BoardNode};
pub use branches::{KnownTimeline, NodeBranch, Remarks};
pub use connection::{EXTENSION_VERSION, LIBRARY, MonitorConnection};
pub use error::MonitorError;
pub(crate) use error::timed;
pub use notifications::{MONITORS_CHANNEL, Notification, Notifications, StateChange};
pub use operations::FormationOptions;
pub use overview::{FormationSummary, Overview, WatchedNode};
pub use registration::{RegisteredNode, Registration};
pub use views::{FormationSetting, FormationUri, NodeEvent, NodeState, Setting};
