//! An unfinished copy or rewind is never started.

use super::super::postgres::{Files, Postgres};
use super::Verdict;

pub(crate) fn check_start(postgres: &Postgres) -> Verdict {
    if postgres.files == Files::Incomplete {
        return Err("Postgres is started on an unfinished copy".to_owned());
    }
    Ok(())
}
