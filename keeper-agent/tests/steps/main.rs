//! Every step of the keeper against real, temporary servers: run twice, and interrupted half-way once.
//!
//! Postgres does not run as root: then the tests run again as user `postgres`.

mod bed;
mod data;
mod election;
mod life;
mod replication;
mod settings;
mod sight;

use std::os::unix::process::CommandExt as _;
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

fn main() -> ExitCode {
    if nix::unistd::geteuid().is_root() {
        let error = Command::new("setpriv")
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all"])
            .arg(std::env::current_exe().expect("a path"))
            .args(std::env::args_os().skip(1))
            .env("HOME", "/tmp")
            .current_dir("/tmp")
            .exec();
        eprintln!("cannot run as user postgres: {error}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    let groups = [
        ("life", life::tests()),
        ("data", data::tests()),
        ("settings", settings::tests()),
        ("replication", replication::tests()),
        ("election", election::tests()),
        ("sight", sight::tests()),
    ];
    let trials = groups.into_iter().flat_map(|(group, tests)| {
        tests.into_iter().map(move |test| Trial::test(format!("{group}::{}", test.name), test.run))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    bed::clean_up();
    conclusion.exit_code()
}
