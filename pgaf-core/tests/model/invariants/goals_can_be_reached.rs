//! Every goal that is assigned can be reached: no keeper with whole data needs a person to get on.

use super::Verdict;
use crate::server::{Data, Server};

pub(crate) const NAME: &str = "goals can be reached";

/// What keeps a keeper from its goal until a person helps, if anything.
pub(crate) fn check(blocked: Option<&str>, server: &Server) -> Verdict {
    match blocked {
        Some(why) if server.data == Data::Whole => Err(format!("a keeper with whole data: {why}")),
        _ => Ok(()),
    }
}
