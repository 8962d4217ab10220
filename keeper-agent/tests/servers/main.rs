//! Servers that are set up like those of other people: odd settings, roles that cannot log in, layouts of packages.
//! Each case has a monitor and a few nodes on loopback ports of this machine, up in a few seconds. One file is a kind
//! of server, one function a case; `docs/testing.md` says how to add one.

#[allow(dead_code, reason = "the words that cases are written with")]
mod bed;
mod case;
mod denial;
#[path = "../e2e/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what hosts in network namespaces need is not needed here")]
mod harness;
mod name_service;
#[allow(dead_code, reason = "the words that cases are written with")]
mod node;
mod pgbouncer;
mod port;

mod adopted;
mod arranged;
mod connection_strings;
mod copies;
mod environment;
mod formation_settings;
mod fresh;
mod habits;
mod hooks;
mod http;
mod kernel;
mod libraries;
mod names;
mod pooler;
mod promotion;
mod refused;
mod relocated;
mod replaced;
mod roles;
mod secure;
mod sessions;
mod settings;
mod standby_numbers;
mod stop;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use case::Case;

/// Cases at a time, unless `--test-threads` says otherwise.
const CASES_AT_A_TIME: usize = 3;

fn main() -> ExitCode {
    harness::sweep_dead_runs();
    if let Err(error) = harness::clean_up_on_signals() {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CASES_AT_A_TIME);
    let reason = unavailable();
    let trial = |case: Case| {
        let reason = reason.clone().or_else(|| case.missing());
        Trial::ignorable_test(case.name, move || match reason {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => case.play().map(|()| Completion::Completed),
        })
    };
    let code = libtest_mimic::run(&arguments, cases().into_iter().map(trial).collect()).exit_code();
    harness::sweep(std::process::id());
    code
}

/// All of them.
fn cases() -> Vec<Case> {
    [
        adopted::cases(),
        arranged::cases(),
        connection_strings::cases(),
        copies::cases(),
        environment::cases(),
        formation_settings::cases(),
        fresh::cases(),
        http::cases(),
        habits::cases(),
        hooks::cases(),
        kernel::cases(),
        libraries::cases(),
        names::cases(),
        pooler::cases(),
        promotion::cases(),
        refused::cases(),
        relocated::cases(),
        replaced::cases(),
        secure::cases(),
        roles::cases(),
        sessions::cases(),
        settings::cases(),
        standby_numbers::cases(),
        stop::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Why no server can be run on this machine, if so.
fn unavailable() -> Option<String> {
    let is_there = |name| matches!(nix::unistd::User::from_name(name), Ok(Some(_)));
    if !nix::unistd::geteuid().is_root() {
        return Some("not root: servers cannot be run as user postgres".to_owned());
    }
    (!is_there("postgres")).then(|| "there is no user postgres to run servers as".to_owned())
}
