//! `version`: of this program, of the extension it works with, and of the Postgres it finds.

use std::process::Command;

use serde::Serialize;

use super::checks;
use super::error::CliResult;
use super::print;
use crate::monitor::EXTENSION_VERSION;

/// Of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Versions {
    pg_autoctl: String,
    pgautofailover: String,
    pg_major: String,
    pg_version: String,
    pg_version_str: String,
    pg_version_num: u32,
}

/// Prints it.
pub(super) fn run(as_json: bool) -> CliResult {
    let versions = Versions::find();
    if as_json {
        return print::json(&versions);
    }
    let mut text = format!("pg_autoctl version {VERSION}\npg_autoctl extension version {EXTENSION_VERSION}");
    if !versions.pg_version.is_empty() {
        text.push_str(&format!("\nworks here with PostgreSQL {}", versions.pg_version));
    }
    print::line(&text)
}

impl Versions {
    fn find() -> Self {
        let postgres = checks::find_pg_ctl(None)
            .ok()
            .and_then(|pg_ctl| {
                let output =
                    Command::new(pg_ctl.with_file_name("postgres")).arg("--version").output().ok()?;
                String::from_utf8(output.stdout).ok()
            })
            .unwrap_or_default();
        Self {
            pg_autoctl: VERSION.to_owned(),
            pgautofailover: EXTENSION_VERSION.to_owned(),
            ..Self::of_postgres(&postgres)
        }
    }

    /// From what `postgres --version` prints: "postgres (PostgreSQL) 15.20 (Debian …)".
    fn of_postgres(output: &str) -> Self {
        let Some((_, version)) = output.trim().split_once("(PostgreSQL) ") else {
            return Self::default();
        };
        let number = version.split_whitespace().next().unwrap_or_default();
        let digits: String =
            number.chars().take_while(|char| char.is_ascii_digit() || *char == '.').collect();
        let (major, minor) = digits.split_once('.').unwrap_or((&digits, "0"));
        let number_of = |text: &str| text.parse::<u32>().unwrap_or_default();
        Self {
            pg_major: major.to_owned(),
            pg_version: version.to_owned(),
            pg_version_str: format!("PostgreSQL {version}"),
            pg_version_num: number_of(major) * 10_000 + number_of(minor),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_postgres_is_taken_apart() {
        let found = Versions::of_postgres("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n");
        assert_eq!(found.pg_major, "15");
        assert_eq!(found.pg_version, "15.20 (Debian 15.20-0+deb12u1)");
        assert_eq!(found.pg_version_num, 150_020);
        let beta = Versions::of_postgres("postgres (PostgreSQL) 19beta1\n");
        assert_eq!((beta.pg_major.as_str(), beta.pg_version_num), ("19", 190_000));
        assert_eq!(Versions::of_postgres(""), Versions::default());
    }
}
