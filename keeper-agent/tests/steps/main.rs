//! Every step of the keeper against real, temporary servers: run twice, and interrupted half-way once.
//!
//! Postgres does not run as root: then the tests run again as user `postgres`.

mod bed;
mod data;
mod election;
mod life;
mod observation;
mod replication;
mod settings;
mod slots;
mod vote;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: a name that says what holds, and how it is shown.
struct Test {
    name: &'static str,
    run: fn() -> Result<(), Failed>,
}

/// Makes a `Test` of an `async fn(&Bed)`.
#[macro_export]
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub(crate) fn tests() -> Vec<$crate::Test> {
            vec![$($crate::Test {
                name: stringify!($name),
                run: || $crate::bed::run(stringify!($name), async |bed| $name(bed).await),
            }),+]
        }
    };
}

/// Runs a copy of this program as user postgres, who may not be able to read the directory it was built in.
fn run_as_postgres() -> std::io::Result<ExitCode> {
    let directory = tempfile::Builder::new().prefix("pgaf-steps-").tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    let program = directory.path().join("steps");
    std::fs::copy(std::env::current_exe()?, &program)?;
    let status = Command::new("setpriv")
        .args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env("HOME", "/tmp")
        .current_dir("/tmp")
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> ExitCode {
    if nix::unistd::geteuid().is_root() {
        return run_as_postgres().unwrap_or_else(|error| {
            eprintln!("cannot run as user postgres: {error}");
            ExitCode::FAILURE
        });
    }
    let arguments = Arguments::from_args();
    let groups = [
        ("life", life::tests()),
        ("data", data::tests()),
        ("settings", settings::tests()),
        ("replication", replication::tests()),
        ("election", election::tests()),
        ("observation", observation::tests()),
        ("slots", slots::tests()),
        ("vote", vote::tests()),
    ];
    let trials = groups.into_iter().flat_map(|(group, tests)| {
        tests.into_iter().map(move |test| Trial::test(format!("{group}::{}", test.name), test.run))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    bed::clean_up();
    conclusion.exit_code()
}
