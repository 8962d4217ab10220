//! The keeper: from what is observed of the local Postgres, and the goal, to the steps that reach it.

pub mod observed;
pub mod step;

pub use observed::{
    Cluster, DataDirectory, Following, Observed, Receiver, Running, Server, StreamingStandby,
};
pub use step::{Plan, Step, StopMode};
