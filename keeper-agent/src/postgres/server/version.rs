//! Whether these binaries can run this data.

use std::path::Path;
use std::time::Duration;

use super::config::InstanceConfig;
use super::error::PostgresError;
use super::files::{self, Files};
use super::program::{Limit, Program};

/// Since this version a standby can keep logical slots in step with those of its primary.
pub(crate) const SYNCS_SLOTS_SINCE: u32 = 17;

/// The version of the binaries, like `15.4`.
pub(crate) async fn of_binaries(config: &InstanceConfig) -> Result<String, PostgresError> {
    let printed = Program::new(&config.bin_dir, "postgres")
        .arg("--version")
        .run(Limit::Within(Duration::from_secs(10)))
        .await?;
    version_in(&printed.stdout).map(str::to_owned).ok_or_else(|| {
        PostgresError::Refused(format!(
            "\"{}\" does not print its version",
            config.program("postgres").display()
        ))
    })
}

pub(crate) async fn check(files: &Files, config: &InstanceConfig) -> Result<(), PostgresError> {
    let path = config.in_pgdata("PG_VERSION");
    let read = files.run("reading PG_VERSION", move || files::read_if_there(&path));
    let Some(data) = read.await? else {
        return Ok(());
    };
    let printed = Program::new(&config.bin_dir, "postgres")
        .arg("--version")
        .run(Limit::Within(Duration::from_secs(10)))
        .await?;
    let binaries = version_in(&printed.stdout).unwrap_or_default();
    let data = data.trim();
    let major = |version: &str| -> String { version.chars().take_while(char::is_ascii_digit).collect() };
    if major(binaries) == major(data) {
        return Ok(());
    }
    Err(PostgresError::Refused(format!(
        "the data in \"{}\" is of Postgres {data}, but \"{}\" is {binaries}: give --pgctl the pg_ctl of Postgres {data}",
        config.pgdata.display(),
        config.program("postgres").display()
    )))
}

/// The major version of the data; `None` without data.
pub(crate) fn of_data(pgdata: &Path) -> Result<Option<u32>, PostgresError> {
    let content = files::read_if_there(&pgdata.join("PG_VERSION"))?;
    Ok(content.and_then(|content| content.trim().split('.').next()?.parse().ok()))
}

/// The word after `(PostgreSQL)`.
fn version_in(output: &str) -> Option<&str> {
    output.split_once(") ")?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packagers_add_words() {
        assert_eq!(version_in("postgres (PostgreSQL) 15.4\n"), Some("15.4"));
        assert_eq!(version_in("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some("15.20"));
        assert_eq!(version_in(""), None);
    }
}
