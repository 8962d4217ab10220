//! The state machines of pgaf: what the monitor decides and what a keeper does about it.
//!
//! Everything here is a pure function: inputs are snapshots and events, outputs are data. There is no I/O, no
//! clock and no randomness in this crate, so that the code that ships is the code that is model-checked.

pub mod formation;
pub mod group;
pub mod id;
pub mod keeper;
pub mod lsn;
pub mod message;
pub mod monitor;
pub mod monitors;
pub mod node_kind;
pub mod postgres_settings;
pub mod sqlstate;
pub mod standby_names;
pub mod state;

pub use formation::{FormationNode, coordinator_of};
pub use group::{DEFAULT_CLUSTER, FormationKind, Group, Health, Node, Timeouts};
pub use id::{Epoch, GroupId, MAX_NAME_BYTES, MonitorId, NodeId, RegistrationId, ReportNumber, RestartId};
pub use lsn::{Lineage, Lsn, Timeline, TimelineHistory};
pub use message::{Answer, Assignment, CommitRule, Peer, Position, Report, ReportDetail, Upstream};
pub use node_kind::NodeKind;
pub use postgres_settings::{PostgresSettings, SettingsStatus, why_not_of_formation};
pub use standby_names::StandbyNames;
pub use state::ReplicationState;
