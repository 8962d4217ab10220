//! Runs the plain-text scenarios of `tests/scenarios/keeper/` against the keeper's engine; `stage.rs` says what a line
//! can be. With `RECORD=1` the commands that come are written into the files, for whoever reads the difference.

mod situation;
mod stage;

use std::fs;
use std::path::Path;

use stage::Stage;

fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if std::env::var_os("RECORD").is_some() {
        let recorded = record(&text).map_err(|error| format!("{}:{error}", path.display()))?;
        return fs::write(path, recorded).map_err(|error| format!("{}: {error}", path.display()));
    }
    play(&text).map_err(|error| format!("{}:{error}", path.display()))
}

fn play(text: &str) -> Result<(), String> {
    let mut stage = Stage::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        if !line.trim().is_empty() {
            stage.line(line).map_err(|why| format!("{}: {why}", index + 1))?;
        }
    }
    stage.end().map_err(|why| format!("end: {why}"))
}

/// The text with the commands that come in the place of those that are expected; `also` and `log` stay.
fn record(text: &str) -> Result<String, String> {
    let mut stage = Stage::default();
    let mut recorded = String::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim_end();
        let is_command = content.starts_with("  ");
        if is_command && !content.starts_with("  also ") && !content.starts_with("  log ") {
            continue;
        }
        recorded.push_str(line);
        recorded.push('\n');
        if !content.is_empty() {
            stage.line(content).map_err(|why| format!("{}: {why}", index + 1))?;
        }
        for act in stage.take_acts() {
            recorded.push_str(&format!("  {act}\n"));
        }
    }
    Ok(recorded)
}

#[test]
fn every_scenario_of_a_keeper_plays_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/keeper");
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("the directory of the scenarios")
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "scenarios are missing");
    let failures: Vec<String> = paths.iter().filter_map(|path| run(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_expected_and_does_not_come_is_told() {
    let missing = "state primary sync\nat 0.0 started\n  report";
    assert!(play(missing).is_err(), "nothing has been seen yet");
    let unexpected = "state primary sync\nat 0.0 started\nat 0.1 seen primary\nat 0.2 notified";
    assert!(play(unexpected).is_err(), "a report is sent and not written down");
}
