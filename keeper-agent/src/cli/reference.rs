//! The reference: one page a command, from the same text as `--help`, as Markdown (`docs/reference`) and as manual pages.

use std::path::Path;

use clap::{Command, CommandFactory as _};

use super::commands::Cli;
use super::error::{CliError, CliResult};
use crate::exit::Exit;

/// The width of a page.
const WIDTH: usize = 100;

/// The command line as it is documented: with the commands for debugging, and nothing of this machine's environment.
fn documented() -> Command {
    plain(Cli::command()).term_width(WIDTH)
}

fn plain(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true)).term_width(WIDTH);
    let is_for_debugging = command.get_name() == "do";
    let command = if is_for_debugging { command.hide(false) } else { command };
    command.mut_subcommands(plain)
}

/// Writes the manual pages, one file a command.
pub(super) fn write_manual(directory: &Path) -> CliResult {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(documented(), directory))
        .map_err(|error| {
            let directory = directory.display();
            CliError::new(
                Exit::Internal,
                format!("cannot write the manual pages to \"{directory}\": {error}"),
            )
        })
}

/// The pages as file names and Markdown.
#[cfg(test)]
fn pages() -> Vec<(String, String)> {
    let mut root = documented();
    root.build();
    let mut pages = Vec::new();
    let mut index = String::from(
        "# Reference\n\n\
         One page a command, with the text of its `--help`; a test keeps them current. The packages have the same as\n\
         manual pages: `man pg_autoctl-create-postgres`.\n\n",
    );
    walk(&mut root, "pg_autoctl", &mut pages, &mut index);
    pages.push(("README.md".to_owned(), index));
    pages
}

#[cfg(test)]
fn walk(command: &mut Command, path: &str, pages: &mut Vec<(String, String)>, index: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let file = format!("{}.md", path.replace(' ', "_"));
    index.push_str(&format!("- [{path}]({file}): {about}\n"));
    pages.push((file, format!("# {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())));
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let path = format!("{path} {}", inner.get_name());
        walk(inner, &path, pages, index);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_reference_is_current() {
        let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference"));
        let pages = pages();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(directory).expect("a directory");
            for (file, page) in &pages {
                std::fs::write(directory.join(file), page).expect("written");
            }
        }
        for (file, page) in &pages {
            let current = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
            assert!(
                current == *page,
                "docs/reference/{file} is not current: run UPDATE_DOCS=1 cargo test reference"
            );
        }
        let expected: BTreeSet<String> = pages.into_iter().map(|(file, _)| file).collect();
        let there = std::fs::read_dir(directory).expect("a directory").filter_map(Result::ok);
        let there: BTreeSet<String> =
            there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(there, expected, "a page of a command that is no more");
    }

    #[test]
    fn every_command_has_a_manual_page() {
        let directory = tempfile::tempdir().expect("a directory");
        write_manual(directory.path()).expect("written");
        for page in ["pg_autoctl.1", "pg_autoctl-create-postgres.1", "pg_autoctl-show-standby-names.1"] {
            let content = std::fs::read_to_string(directory.path().join(page)).expect(page);
            assert!(content.contains(".TH"), "{page}");
        }
    }
}
