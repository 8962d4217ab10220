//! Citus: what a coordinator is told when the primaries of its workers change.
//!
//! Two ways lead there. A candidate of a worker group asks the coordinator itself, as steps of its plan ([`Citus`]): writes
//! are held before the old primary stops and sent to the new one once it is promoted, so that clients wait and see no
//! error. The keeper of the coordinator's primary compares what the coordinator knows with what the monitor says
//! ([`Reconciler`]), and sets right whatever differs: it registers workers, and finishes what others have begun.
//!
//! Neither decides who is primary, and no promotion waits for a coordinator that does not answer.

mod address;
mod coordinator;
mod hold;
mod metadata;
mod reconcile;
mod reconciler;
mod registration;
mod routing;
mod settings;
mod two_phase_commit;

pub use address::Address;
pub use coordinator::{Coordinator, Login};
pub use metadata::{Metadata, NodeRow};
pub use reconciler::{Findings, Reconciler};
pub use registration::{register_coordinator, register_worker};
pub use routing::{Citus, CitusNode};
pub use settings::{EXTENSION, settings};
