//! `show file`: where the files of a node are, or what is in one.

use std::path::Path;

use super::super::commands::ShowFile;
use super::super::error::{CliError, CliResult};
use super::super::print;
use super::super::table::{Align, Column, render};
use crate::config::{Config, Paths};
use crate::exit::Exit;

const COLUMNS: [Column; 2] = [Column::new("File", Align::Right, 7), Column::new("Path", Align::Free, 15)];

/// Runs it.
pub(super) fn run(options: &ShowFile) -> CliResult {
    let pgdata = options.pgdata.required()?;
    let paths = Paths::of(&pgdata)?;
    let chosen = [
        (options.config, &paths.config),
        (options.state, &paths.state),
        (options.init, &paths.init),
        (options.pid, &paths.pid),
    ];
    let chosen = chosen.into_iter().find(|(is_chosen, _)| *is_chosen);
    match chosen {
        None if options.contents => {
            Err(CliError::bad_arguments("--contents needs one of --config, --state, --init and --pid"))
        }
        None => print::line(&table(&paths)),
        Some((_, file)) if !options.contents => print::line(&file.display().to_string()),
        // The configuration has passwords in it.
        Some((_, file)) if *file == paths.config => {
            super::super::config::show(&Config::load(&pgdata)?, false)
        }
        Some((_, file)) => print::line(read(file)?.trim_end_matches('\n')),
    }
}

fn read(file: &Path) -> CliResult<String> {
    std::fs::read_to_string(file).map_err(|error| {
        CliError::new(Exit::BadState, format!("cannot read \"{}\": {error}", file.display()))
    })
}

fn table(paths: &Paths) -> String {
    let row = |name: &str, path: &Path| [name.to_owned(), path.display().to_string()];
    render(
        &COLUMNS,
        &[
            row("Config", &paths.config),
            row("State", &paths.state),
            row("Init", &paths.init),
            row("Pid", &paths.pid),
        ],
    )
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
        assert_eq!(table(&paths), expected);
    }
}
