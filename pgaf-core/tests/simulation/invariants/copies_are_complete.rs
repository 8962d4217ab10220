//! A data directory that is not a whole cluster is never started.

use super::super::postgres::{Files, Postgres};
use super::Verdict;

pub(crate) fn check_start(postgres: &Postgres) -> Verdict {
    match postgres.files {
        Files::Present => Ok(()),
        files => Err(format!("Postgres is started on a data directory that is {files:?}")),
    }
}
