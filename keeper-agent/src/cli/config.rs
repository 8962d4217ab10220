//! `config …`: check, show and change the configuration of a node.

use std::io::BufRead;

use super::checks;
use super::commands;
use super::error::{CliError, CliResult};
use super::listen_addresses::checked_listen_addresses;
use super::print;
use super::process;
use crate::config::Config;
use crate::exit::Exit;

/// Runs one of them.
pub(super) fn run(command: &commands::Config) -> CliResult {
    match command {
        commands::Config::Check { pgdata, json } => {
            let config = Config::load(&pgdata.required()?)?;
            check(&config)?;
            show(&config, json.json)
        }
        commands::Config::Get { pgdata, json, name } => {
            let config = Config::load(&pgdata.required()?)?;
            match name {
                None => show(&config, json.json),
                Some(name) => print::line(&config.get(name)?.unwrap_or_default()),
            }
        }
        commands::Config::Set { pgdata, json, name, value } => {
            set(&pgdata.required()?, name, value, json.json)
        }
    }
}

fn set(pgdata: &std::path::Path, name: &str, value: &str, as_json: bool) -> CliResult {
    let mut config = Config::load(pgdata)?;
    let value = match value {
        "-" => first_line_of_input()?,
        value => value.to_owned(),
    };
    if let (Config::Node(node), "postgresql.listen_addresses") = (&config, name) {
        checked_listen_addresses(&value, &node.hostname)?;
    }
    config.set(name, &value)?;
    config.store()?;
    let shown = config.get(name)?.unwrap_or_default();
    if as_json {
        print::json(&serde_json::json!({ name: shown }))?;
    } else {
        print::line(&shown)?;
    }
    if process::running(config.paths())?.is_some() {
        tracing::info!("\"pg_autoctl reload\" makes the running node take this over");
    }
    Ok(())
}

fn first_line_of_input() -> CliResult<String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| CliError::bad_arguments(format!("cannot read standard input: {error}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// What the configuration names must be there.
fn check(config: &Config) -> CliResult {
    let postgres = config.postgres();
    let wrong = |why: String| Err(CliError::new(Exit::BadConfig, why));
    if !postgres.pg_ctl.is_file() {
        return wrong(format!(
            "postgresql.pg_ctl: there is no \"{}\", set it with \"pg_autoctl config set postgresql.pg_ctl PATH\"",
            postgres.pg_ctl.display()
        ));
    }
    if !postgres.pgdata.join("PG_VERSION").is_file() {
        return wrong(format!("postgresql.pgdata: there is no cluster in \"{}\"", postgres.pgdata.display()));
    }
    let ssl = config.ssl();
    for (name, file) in [
        ("ssl.cert_file", &ssl.cert_file),
        ("ssl.key_file", &ssl.key_file),
        ("ssl.ca_file", &ssl.ca_file),
        ("ssl.crl_file", &ssl.crl_file),
    ] {
        if let Some(file) = file.as_ref().filter(|_| ssl.is_active) {
            checks::readable_file(name, file)
                .map_err(|error| CliError::new(Exit::BadConfig, error.message))?;
        }
    }
    Ok(())
}

/// Everything that is set, without passwords: as the file is, or as JSON.
pub(super) fn show(config: &Config, as_json: bool) -> CliResult {
    let entries = config.entries(true);
    if as_json {
        let mut sections = serde_json::Map::new();
        for (section, name, value) in entries {
            let section = sections.entry(section).or_insert_with(|| serde_json::json!({}));
            section[name] = serde_json::Value::String(value);
        }
        return print::json(&serde_json::Value::Object(sections));
    }
    let mut text = String::new();
    let mut current = "";
    for (section, name, value) in &entries {
        if *section != current {
            if !current.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[{section}]\n"));
            current = section;
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    print::line(text.trim_end_matches('\n'))
}
