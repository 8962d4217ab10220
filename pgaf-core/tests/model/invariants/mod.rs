//! What must hold, in the order of DESIGN.md, each in a file of its own. All are checked whenever something happens;
//! that the group becomes whole is checked from what a situation becomes once nothing goes wrong any more.

pub(crate) mod acknowledged_commits_survive;
pub(crate) mod decisions_are_functions;
pub(crate) mod goals_can_be_reached;
pub(crate) mod group_becomes_whole;
pub(crate) mod isolated_primaries_fence_first;
pub(crate) mod nobody_is_buried_alive;
pub(crate) mod one_writer;
pub(crate) mod promoted_nodes_lack_nothing;

pub(crate) use super::rows::Verdict;

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Violation {
    /// The name of the invariant.
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}
