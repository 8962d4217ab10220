//! End to end: real monitors, keepers and servers in network namespaces, faults, and writers whose acknowledged
//! rows are counted. `docs/testing.md` says how to run one scenario and how to read a failure.

mod bench;
mod chaos;
mod false_alarms;
mod harness;
mod scenario;
mod tutorial;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use harness::{Cluster, Tools};
use scenario::Scenario;

/// Clusters at a time, unless `--test-threads` says otherwise: each has a dozen busy processes.
const CLUSTERS_AT_A_TIME: usize = 2;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    harness::sweep_dead_runs();
    harness::clean_up_on_signals()?;
    let code = match std::env::args().nth(1).as_deref() {
        Some("bench") => bench::run(),
        Some("chaos") => chaos::run(),
        Some("false-alarms") => false_alarms::run(),
        Some("tutorial") => tutorial::run(),
        _ => Ok(test()),
    };
    harness::sweep(std::process::id());
    code
}

fn test() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CLUSTERS_AT_A_TIME);
    let reason = harness::unavailable();
    let scenarios = scenario::all().into_iter().map(|scenario| {
        let reason = reason.clone();
        Trial::ignorable_test(scenario.name, move || {
            let setup = (scenario.setup)();
            match (
                reason.or_else(|| setup.lacks()).or_else(|| harness::lacks_older(&setup)),
                harness::lacks_citus(&setup),
            ) {
                (Some(reason), _) => Ok(Completion::ignored_with(reason)),
                (None, Some(reason)) if harness::is_citus_required() => Err(reason.into()),
                (None, Some(reason)) => Ok(Completion::ignored_with(reason)),
                (None, None) => play(&scenario).map(|()| Completion::Completed),
            }
        })
    });
    let trials = chaos::trials()
        .into_iter()
        .chain(false_alarms::trials())
        .chain(tutorial::trials())
        .chain(scenarios)
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn play(scenario: &Scenario) -> Result<(), Failed> {
    let failed = |report: String| {
        keep_report(scenario.name, &report);
        Failed::from(report)
    };
    let setup = (scenario.setup)();
    let tools = if setup.is_older { Tools::older(scenario.name) } else { Tools::ours_for(&setup) };
    let tools = tools.map_err(|error| failed(format!("{error:#}")))?;
    let mut cluster = Cluster::start(&tools, setup).map_err(|error| failed(format!("{error:#}")))?;
    (scenario.body)(&mut cluster).map_err(|error| failed(format!("{error:#}\n{}", cluster.dump())))
}

/// Writes the report of a failure at once to the directory `PGAF_REPORTS`, if that is set: the summary comes last.
fn keep_report(name: &str, report: &str) {
    if let Some(directory) = std::env::var_os("PGAF_REPORTS") {
        let path = std::path::Path::new(&directory).join(format!("{name}.txt"));
        if let Err(error) = std::fs::write(&path, report) {
            eprintln!("{}: {error}", path.display());
        }
    }
}
