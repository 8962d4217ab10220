//! What the model check and the simulation both hold groups to: it can be seen in the monitor's rows alone.

mod group_is_whole;
mod one_writer_goal;

pub(crate) use group_is_whole::check_whole;
pub(crate) use one_writer_goal::check_goals;

/// What does not hold, in words.
pub(crate) type Verdict = Result<(), String>;
