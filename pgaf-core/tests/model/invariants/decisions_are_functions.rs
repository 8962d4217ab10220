//! A decision is a function of one read under the group lock: the same rows and the same event give the same decision,
//! and what was decided needs no second look.

use pgaf_core::Group;
use pgaf_core::monitor::{Decision, Event, decide};

use super::Verdict;

pub(crate) const NAME: &str = "decisions are functions";

pub(crate) fn check(before: &Group, event: &Event, decision: &Decision) -> Verdict {
    if decide(before, event).as_ref() != Ok(decision) {
        return Err(format!("{event:?} was decided in two ways"));
    }
    match decide(&decision.group, &Event::Tick) {
        Ok(again) if again.changes.is_empty() && again.removed.is_empty() => Ok(()),
        Ok(again) => {
            Err(format!("a decision on {event:?} is not at rest: {:?}, {:?}", again.changes, again.removed))
        }
        Err(refusal) => Err(format!("a decision is not at rest: {refusal}")),
    }
}
