//! What the document needs of `docker compose`.

use anyhow::Result;

use super::command::{Exec, Up};
use crate::harness::Ended;

/// Runs the services of a compose file.
pub(super) trait Compose {
    /// What this is, for people.
    fn describe(&self) -> String;

    /// Whether the servers of the image can have the extension citus.
    fn has_citus(&self) -> Result<bool>;

    /// The major version of Postgres in the image.
    fn postgres_major(&self) -> String;

    /// Starts the services of a file; need not wait until they have started.
    fn up(&mut self, up: &Up) -> Result<()>;

    /// Runs a command in a container to its end.
    fn exec(&mut self, exec: &Exec, input: &str) -> Result<Ended>;

    /// Stops and removes all containers.
    fn down(&mut self) -> Result<()>;

    /// The ends of the logs of all containers.
    fn logs(&mut self) -> String;
}
