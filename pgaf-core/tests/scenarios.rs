//! Runs the plain-text scenarios of `tests/scenarios/` against the monitor's `decide`; `scenario/mod.rs` says what a line
//! can be.

#[path = "scenario/mod.rs"]
mod scenario;

use std::fs;
use std::path::Path;

fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    scenario::play(&text).map_err(|error| format!("{}:{error}", path.display()))
}

#[test]
fn every_scenario_plays_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("the directory of the scenarios")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "scenarios are missing");
    let failures: Vec<String> = paths.iter().filter_map(|path| run(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
