//! `synchronous_standby_names`, as Postgres reads it.

use pgaf_core::NodeId;

/// `ANY acks (nodes)`, or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    text: String,
    acks: usize,
    nodes: Vec<NodeId>,
}

impl Names {
    /// Reads a value in the one form that is ever set.
    pub(crate) fn parse(text: &str) -> Self {
        let mut names = Self { text: text.to_owned(), ..Self::default() };
        let Some(rest) = text.strip_prefix("ANY ") else {
            assert!(text.is_empty(), "Postgres would not understand \"{text}\"");
            return names;
        };
        let (acks, list) = rest.split_once(" (").expect("a number and a list");
        names.acks = acks.parse().expect("a number");
        let list = list.strip_suffix(')').expect("a list in parentheses");
        names.nodes = list
            .split(", ")
            .map(|name| name.strip_prefix("pgautofailover_standby_").expect("the name of a slot"))
            .map(|id| NodeId(id.parse().expect("the id of a node")))
            .collect();
        assert!(names.acks > 0 && names.acks <= names.nodes.len(), "commits would hang for ever: {text}");
        names
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn acks(&self) -> usize {
        self.acks
    }

    /// A commit waits for somebody.
    pub(crate) const fn is_synchronous(&self) -> bool {
        self.acks > 0
    }

    /// This node's acknowledgement counts.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }
}
