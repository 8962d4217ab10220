//! The command line: `commands` and `options` are what can be said, the other modules what is done about it, one for each
//! command or family of commands.
//!
//! A command ends with an exit code, or with one sentence on standard error that says what to do, and an exit code.

mod commands;
mod options;

mod create;
mod run;

mod accept;
mod activate;
mod arrange;
mod config;
mod debugging;
mod drop;
mod fsm;
mod maintenance;
mod monitor;
mod monitors;
mod perform;
mod process;
mod properties;
mod reference;
mod relocate;
mod rolling;
mod show;
mod ssl;
mod switches;
mod version;
mod watch;

mod access;
mod arguments;
mod checks;
mod contents;
mod error;
mod follow;
mod hand_over;
mod http;
mod listen_addresses;
mod local_time;
mod log;
mod postgres_settings;
mod print;
mod setup;
mod table;
mod target;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use commands::{Cli, Command};
use error::{CliError, CliResult};

use crate::exit::Exit;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    log::start(cli.verbose, cli.quiet > 0);
    let exit = match run(cli) {
        Ok(exit) => exit,
        Err(error) => {
            tracing::error!("{error}");
            error.exit
        }
    };
    log::flush();
    exit.into()
}

/// Reads the command line. What clap prints for help goes to standard output, and what is wrong to standard error.
fn parse() -> Result<Cli, Exit> {
    let is_debugging = std::env::var_os("PG_AUTOCTL_DEBUG").is_some();
    let command = Cli::command().mut_subcommand("do", |command| command.hide(!is_debugging));
    let parsed =
        command.try_get_matches_from(arguments::given()).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if error.kind() == ErrorKind::DisplayVersion {
            let is_json = std::env::args_os().any(|argument| argument == "--json" || argument == "-J");
            return match version::run(is_json) {
                Ok(()) => Exit::Quit,
                Err(error) => error.exit,
            };
        }
        // Nothing is left to do when even this cannot be printed.
        let _ = error.print();
        if error.use_stderr() { Exit::BadArgs } else { Exit::Quit }
    })
}

fn run(cli: Cli) -> CliResult<Exit> {
    let command =
        cli.command.ok_or_else(|| CliError::bad_arguments("no command given: see pg_autoctl --help"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Exit::Internal, format!("cannot start: {error}")))?;
    let done = runtime.block_on(dispatch(&command));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    done
}

async fn dispatch(command: &Command) -> CliResult<Exit> {
    let done = match command {
        Command::Create(command) => return create::run(command).await,
        Command::Run(options) => return run::run(options).await,
        Command::Status(options) => return process::status(options).await,
        Command::Do(command) => return debugging::run(command).await,
        Command::Drop(command) => drop::run(command).await,
        Command::Stop(options) => process::stop(options).await,
        Command::Reload(pgdata) => process::reload(pgdata),
        Command::Config(command) => config::run(command).await,
        Command::Show(command) => show::run(command).await,
        Command::Enable(command) => switches::enable(command).await,
        Command::Disable(command) => switches::disable(command).await,
        Command::Get(command) => properties::get(command).await,
        Command::Set(command) => properties::set(command).await,
        Command::Unset(command) => properties::unset(command).await,
        Command::Pause(options) => arrange::pause(options).await,
        Command::Resume(options) => arrange::resume(options).await,
        Command::Perform(command) => perform::run(command).await,
        Command::Accept(command) => accept::run(command).await,
        Command::Watch(options) => watch::run(&options.monitor, &options.group, None).await,
        Command::Activate(pgdata) => activate::run(pgdata).await,
        Command::Version(json) => version::run(json.json),
        Command::Man { directory } => reference::write_manual(directory),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "pg_autoctl", &mut std::io::stdout());
            Ok(())
        }
    };
    done.map(|()| Exit::Quit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
