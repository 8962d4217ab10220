//! What must hold in every run, each in a file of its own; what the model check demands, too, is beside both.

mod acknowledged_commits_survive;
mod copies_are_complete;
mod no_writes_are_held;
mod nobody_is_buried_alive;
mod old_primaries_are_fenced;
mod one_line_of_acknowledgements;
mod plans_are_not_blocked;
mod reports_are_in_order;

pub(crate) use acknowledged_commits_survive::AcknowledgedCommits;
pub(crate) use copies_are_complete::check_start;
pub(crate) use no_writes_are_held::check_holds;
pub(crate) use nobody_is_buried_alive::check_burials;
pub(crate) use old_primaries_are_fenced::Fencing;
pub(crate) use one_line_of_acknowledgements::OneLine;
pub(crate) use plans_are_not_blocked::check_plans;
pub(crate) use reports_are_in_order::ReportOrder;

use super::rows;
pub(crate) use rows::{Verdict, check_goals, check_whole};
