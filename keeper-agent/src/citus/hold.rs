//! The name of a prepared transaction that holds the writes to a group.

use std::fmt;
use std::str::FromStr;

use pgaf_core::{Epoch, GroupId, NodeId};

/// How the names begin, in `pg_prepared_xacts`.
pub(super) const PREFIX: &str = "pgaf:";

/// Which group, for whom, and under which assignment: a name is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldName {
    /// The group whose writes wait.
    pub group: GroupId,
    /// The candidate.
    pub node: NodeId,
    /// Its assignment.
    pub epoch: Epoch,
}

/// A prepared transaction that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the name of a hold")]
pub struct NoHoldName;

impl fmt::Display for HoldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}:{}", self.group, self.node, self.epoch.0)
    }
}

impl FromStr for HoldName {
    type Err = NoHoldName;

    fn from_str(text: &str) -> Result<Self, NoHoldName> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(NoHoldName)?.split(':');
        let mut part = || parts.next().ok_or(NoHoldName);
        let name = Self {
            group: GroupId(part()?.parse().map_err(|_| NoHoldName)?),
            node: NodeId(part()?.parse().map_err(|_| NoHoldName)?),
            epoch: Epoch(part()?.parse().map_err(|_| NoHoldName)?),
        };
        if parts.next().is_some() { Err(NoHoldName) } else { Ok(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_left_alone() {
        let name = HoldName { group: GroupId(2), node: NodeId(8), epoch: Epoch(41) };
        assert_eq!(name.to_string(), "pgaf:2:8:41");
        assert_eq!(name.to_string().parse(), Ok(name));
        for other in
            ["citus_0_17_8_3", "pgaf:2:8", "pgaf:2:8:41:1", "pgaf:x:8:41", "pgaf:2:8:", "Pgaf:2:8:41"]
        {
            assert_eq!(other.parse::<HoldName>(), Err(NoHoldName), "{other}");
        }
    }
}
