//! `show file`: where the files of a node are, or what is in one.

use std::path::Path;

use super::super::commands::ShowFile;
use super::super::error::{CliError, CliResult};
use super::super::print;
use super::super::table::{Align, Column, render};
use crate::config::state;
use crate::config::{Config, Paths};
use crate::exit::Exit;

const COLUMNS: [Column; 2] = [Column::new("File", Align::Right, 7), Column::new("Path", Align::Free, 15)];

/// Runs it.
pub(super) fn run(options: &ShowFile) -> CliResult {
    let pgdata = options.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let is_monitor = matches!(Config::load(&pgdata), Ok(Config::Monitor(_)));
    if is_monitor && (options.state || options.init) {
        return Err(CliError::bad_arguments("a monitor has neither a state file nor an init file"));
    }
    let chosen = [
        (options.config, &paths.config),
        (options.state, &paths.state),
        (options.init, &paths.init),
        (options.pid, &paths.pid),
    ];
    let chosen = chosen.into_iter().find(|(is_chosen, _)| *is_chosen);
    let as_json = options.json.json;
    match chosen {
        None if options.contents => {
            Err(CliError::bad_arguments("--contents needs one of --config, --state, --init and --pid"))
        }
        None => list(&paths, is_monitor, as_json),
        Some((_, file)) if !options.contents => print::line(&file.display().to_string()),
        // The configuration has passwords in it.
        Some((_, file)) if *file == paths.config => {
            super::super::contents::show(&Config::load(&pgdata)?, as_json)
        }
        Some((_, file)) if *file == paths.state => show_state(file, as_json),
        Some((_, file)) if *file == paths.pid && as_json => print::json(&pid_file(&read(file)?)),
        Some((_, file)) => print::line(read(file)?.trim_end_matches('\n')),
    }
}

fn read(file: &Path) -> CliResult<String> {
    std::fs::read_to_string(file).map_err(|error| {
        CliError::new(Exit::BadState, format!("cannot read \"{}\": {error}", file.display()))
    })
}

/// The parts of the state that scripts know; as JSON, with all the rest.
fn show_state(file: &Path, as_json: bool) -> CliResult {
    let state = state::load(file)?.ok_or_else(|| {
        CliError::new(Exit::BadState, format!("there is no state file \"{}\"", file.display()))
    })?;
    let goal = state.assignment.as_ref().map_or(state.reported, |assignment| assignment.goal);
    if !as_json {
        return print::line(&format!(
            "Current Role:             {}\n\
             Assigned Role:            {goal}\n\
             pg_autoctl state version: {}\n\
             group:                    {}\n\
             node id:                  {}",
            state.reported, state.version, state.group, state.node
        ));
    }
    let mut object = serde_json::json!({
        "current_role": state.reported.as_str(),
        "assigned_role": goal.as_str(),
        "version": state.version,
        "groupId": state.group.0,
        "nodeId": state.node.0,
    });
    let whole = serde_json::to_value(&state)
        .map_err(|error| CliError::new(Exit::Internal, format!("cannot write JSON: {error}")))?;
    if let (Some(object), serde_json::Value::Object(whole)) = (object.as_object_mut(), whole) {
        for (key, value) in whole {
            object.entry(key).or_insert(value);
        }
    }
    print::json(&object)
}

fn pid_file(content: &str) -> serde_json::Value {
    let mut lines = content.lines();
    let pid = lines.next().and_then(|line| line.trim().parse::<i32>().ok());
    serde_json::json!({ "pid": pid, "pgdata": lines.next(), "services": [] })
}

fn list(paths: &Paths, is_monitor: bool, as_json: bool) -> CliResult {
    let files = files(paths, is_monitor);
    if as_json {
        let object: serde_json::Map<String, serde_json::Value> = files
            .iter()
            .map(|(name, path)| (name.to_ascii_lowercase(), path.display().to_string().into()))
            .collect();
        return print::json(&serde_json::Value::Object(object));
    }
    print::line(&table(&files))
}

fn files(paths: &Paths, is_monitor: bool) -> Vec<(&'static str, &Path)> {
    let all =
        [("Config", &paths.config), ("State", &paths.state), ("Init", &paths.init), ("Pid", &paths.pid)];
    let of_nodes = ["State", "Init"];
    all.into_iter()
        .filter(|(name, _)| !(is_monitor && of_nodes.contains(name)))
        .map(|(name, path)| (name, path.as_path()))
        .collect()
}

fn table(files: &[(&str, &Path)]) -> String {
    let rows: Vec<[String; 2]> =
        files.iter().map(|(name, path)| [(*name).to_owned(), path.display().to_string()]).collect();
    render(&COLUMNS, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_show_as_people_know_them() {
        let paths = Paths { config: "/c".into(), state: "/s".into(), init: "/i".into(), pid: "/p".into() };
        let expected = "   File | Path\n\
                        --------+----------------\n \
                        Config | /c\n  \
                        State | /s\n   \
                        Init | /i\n    \
                        Pid | /p\n";
        assert_eq!(table(&files(&paths, false)), expected);
        assert_eq!(
            table(&files(&paths, true)).lines().count(),
            4,
            "a monitor has a configuration and a process"
        );
    }
}
