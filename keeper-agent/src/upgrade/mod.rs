//! From pg_auto_failover 2.x to this program, on one machine: the processes that it left, and its files.
//!
//! Nothing is changed before all that could speak against it was asked: until then 2.x can go on. What is replaced is
//! kept beside the new file.

mod extension;
mod node;
mod processes;
mod state_file;

pub use extension::{ExtensionError, bring_up_to_date};
pub use node::{UpgradeError, check_node, end_services, keep_copy, take_over_state};
pub use processes::Processes;
pub use state_file::{is_of_2x, read};

/// What is added to the name of a file of 2.x that is kept.
const COPY_SUFFIX: &str = "pg_auto_failover-2";
