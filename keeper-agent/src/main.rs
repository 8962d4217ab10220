//! The `pg_autoctl` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    keeper_agent::cli::main()
}
