//! The keeper agent.
