//! What lines say that must have come of it.

use pgaf_core::monitor::{Decision, assignment_for};
use pgaf_core::{CommitRule, NodeId};

use super::{Outcome, World};

impl World {
    fn decision(&self) -> Result<&Decision, String> {
        match &self.last {
            Some(Ok(decision)) => Ok(decision),
            Some(Err(refusal)) => Err(format!("refused: {refusal}")),
            None => Err("nothing has happened yet".to_owned()),
        }
    }

    pub(super) fn expect_goals(&self, wanted: &str) -> Outcome {
        let goals: Vec<String> =
            self.group.nodes.iter().map(|node| format!("{}={}", node.id, node.goal)).collect();
        if goals.join(" ") == wanted { Ok(()) } else { Err(format!("the goals are {}", goals.join(" "))) }
    }

    pub(super) fn expect_upstream(&self, id: NodeId, wanted: &str) -> Outcome {
        let upstream = assignment_for(&self.group, id).and_then(|assignment| assignment.upstream);
        let found = upstream.map_or("-".to_owned(), |peer| peer.node.to_string());
        if found == wanted { Ok(()) } else { Err(format!("it is {found}")) }
    }

    pub(super) fn expect_commit_rules(&self, wanted: &str) -> Outcome {
        let text = |rule: &CommitRule| {
            let standbys: Vec<String> = rule.standbys.iter().map(ToString::to_string).collect();
            format!("{} of {}", rule.acks, standbys.join(",")).trim_end().to_owned()
        };
        let found: Vec<String> = self.group.commit_rules.iter().map(text).collect();
        if found.join(" | ") == wanted { Ok(()) } else { Err(format!("they are {}", found.join(" | "))) }
    }

    pub(super) fn expect_waiting(&self, wanted: &str) -> Outcome {
        let found = self.group.waits_for.as_deref().unwrap_or("-");
        let is_right = if wanted == "-" { found == "-" } else { found.contains(wanted) };
        if is_right { Ok(()) } else { Err(format!("it waits: {found}")) }
    }

    pub(super) fn expect_rule(&self, name: &str) -> Outcome {
        let rules: Vec<&str> = self.decision()?.changes.iter().map(|change| change.rule).collect();
        if rules.contains(&name) { Ok(()) } else { Err(format!("the rules were {rules:?}")) }
    }

    pub(super) fn expect_quiet(&self) -> Outcome {
        let decision = self.decision()?;
        if decision.changes.is_empty() && decision.removed.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", decision.changes))
        }
    }

    pub(super) fn expect_refusal(&self, text: &str) -> Outcome {
        match &self.last {
            Some(Err(refusal)) if refusal.to_string().contains(text) => Ok(()),
            Some(Err(refusal)) => Err(format!("refused otherwise: {refusal}")),
            _ => Err("it was not refused".to_owned()),
        }
    }
}
