//! What a node is in its formation.

use std::fmt;
use std::str::FromStr;

use crate::group::FormationKind;

/// The value of `nodekind`, in the configuration of a node and when it registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Plain Postgres.
    #[default]
    Standalone,
    /// A node of the coordinator's group of a Citus formation.
    Coordinator,
    /// A node of any other group of a Citus formation.
    Worker,
}

impl NodeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Standalone, Self::Coordinator, Self::Worker];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
        }
    }

    /// The kind of the formations that have such nodes.
    pub const fn formation_kind(self) -> FormationKind {
        match self {
            Self::Standalone => FormationKind::Pgsql,
            Self::Coordinator | Self::Worker => FormationKind::Citus,
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no kind of node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not one of standalone, coordinator, worker")]
pub struct UnknownNodeKind(pub String);

impl FromStr for NodeKind {
    type Err = UnknownNodeKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownNodeKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back() {
        for kind in NodeKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let error = "citus".parse::<NodeKind>().expect_err("no kind");
            assert!(error.to_string().contains(kind.as_str()), "the error names {kind}");
        }
    }
}
