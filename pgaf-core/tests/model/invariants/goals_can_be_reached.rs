//! Every goal that is assigned can be reached: no keeper with whole data needs a person to get on.

use pgaf_core::keeper::Plan;

use super::Verdict;
use crate::server::{Data, Server};

pub(crate) const NAME: &str = "goals can be reached";

/// What a keeper plans for its server.
pub(crate) fn check(plan: &Plan, server: &Server) -> Verdict {
    match plan {
        Plan::Blocked(why) if server.data == Data::Whole => Err(format!("a keeper with whole data: {why}")),
        _ => Ok(()),
    }
}
