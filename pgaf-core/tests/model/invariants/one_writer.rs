//! One writer: two nodes of a group never both acknowledge a synchronous commit, and never are both told to write.

use pgaf_core::Group;

use super::Verdict;
use crate::rows::check_goals;

pub(crate) const NAME: &str = "one writer";

pub(crate) fn of_goals(group: &Group) -> Verdict {
    check_goals(group)
}

/// A commit is acknowledged on this timeline; one on the other one, the newest so far, was before.
pub(crate) fn of_acknowledgements(timeline: u8, is_synchronous: bool, newest: u8) -> Verdict {
    if is_synchronous && timeline < newest {
        return Err(format!(
            "a commit is acknowledged on timeline {timeline} after one on timeline {newest}"
        ));
    }
    Ok(())
}
