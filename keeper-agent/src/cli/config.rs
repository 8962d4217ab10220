//! `config …`: check, show and change the configuration of a node.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::checks;
use super::commands;
use super::contents;
use super::error::{CliError, CliResult};
use super::http;
use super::listen_addresses::checked_listen_addresses;
use super::print;
use super::process;
use super::properties::move_node;
use super::setup::Setup;
use crate::client::SslMode;
use crate::config::{Config, ConfigError, SslConfig};
use crate::exit::Exit;
use crate::monitor::MonitorConnection;
use crate::postgres::{Instance, PostmasterStatus};

/// Runs one of them.
pub(super) async fn run(command: &commands::Config) -> CliResult {
    match command {
        commands::Config::Check { pgdata, json } => {
            check(&Config::load(&pgdata.required()?)?, json.json).await
        }
        commands::Config::Get { pgdata, json, name } => {
            let config = Config::load(&pgdata.required()?)?;
            match name {
                None => contents::show(&config, json.json),
                Some(name) => print_value(&config, name, json.json),
            }
        }
        commands::Config::Set { pgdata, json, name, value } => {
            set(&pgdata.required()?, name, value, json.json).await
        }
    }
}

fn print_value(config: &Config, name: &str, as_json: bool) -> CliResult {
    let shown = config.get(name)?.unwrap_or_default();
    if as_json { print::json(&serde_json::json!({ name: shown })) } else { print::line(&shown) }
}

/// Checks the value, writes it, and has the process that runs the node take it over.
async fn set(pgdata: &Path, name: &str, value: &str, as_json: bool) -> CliResult {
    let mut config = Config::load(pgdata)?;
    let value = match value {
        "-" => first_line_of_input()?,
        value => value.to_owned(),
    };
    if let (Config::Node(node), "postgresql.listen_addresses") = (&config, name) {
        checked_listen_addresses(&value, &node.hostname)?;
    }
    config.set(name, &value).map_err(bad_value)?;
    check_value(&config, name).await.map_err(|error| match error.exit {
        Exit::BadArgs => CliError::new(Exit::BadConfig, error.message),
        _ => error,
    })?;
    let config = match (&config, name) {
        (Config::Node(node), "pg_autoctl.name") => {
            move_node(pgdata, Some(&node.name), None, None).await?.into()
        }
        (Config::Node(node), "pg_autoctl.hostname") => {
            move_node(pgdata, None, Some(&node.hostname), None).await?.into()
        }
        (Config::Node(node), "postgresql.port") => {
            move_node(pgdata, None, None, Some(node.postgres.port)).await?.into()
        }
        _ => {
            if let (Config::Monitor(monitor), "pg_autoctl.hostname") = (&mut config, name) {
                monitor.hostname_follows_network = false;
            }
            config.store()?;
            reload(&config, name)?;
            config
        }
    };
    print_value(&config, name, as_json)
}

/// 2.2 ends with this code for any value that cannot be.
fn bad_value(error: ConfigError) -> CliError {
    CliError::new(Exit::BadConfig, error.to_string())
}

/// Settings of the server's start; the others are in force as soon as they are reloaded.
const NEEDS_RESTART: [&str; 2] = ["postgresql.port", "postgresql.listen_addresses"];

fn reload(config: &Config, name: &str) -> CliResult {
    let Some(pid) = process::running(config.paths())? else {
        return Ok(());
    };
    process::signal(pid, nix::sys::signal::Signal::SIGHUP)?;
    tracing::info!("process {pid}, which runs this node, applies the change");
    if NEEDS_RESTART.contains(&name) {
        tracing::warn!("{name} takes effect when Postgres is restarted");
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

/// A value that can be, and is right here: the file is there, the role can connect.
async fn check_value(config: &Config, name: &str) -> CliResult {
    let ssl = config.ssl();
    match name {
        "postgresql.pg_ctl" => check_programs(config).await,
        "postgresql.username" => check_role(config).await,
        "ssl.cert_file" => check_file(name, &ssl.cert_file),
        "ssl.key_file" => check_file(name, &ssl.key_file),
        "ssl.ca_file" => check_file(name, &ssl.ca_file),
        "ssl.crl_file" => check_file(name, &ssl.crl_file),
        _ => Ok(()),
    }?;
    if name.starts_with("http.") {
        http::check(config)?;
        http::prepare(config)?;
    }
    if name.starts_with("ssl.") { check_ssl(ssl) } else { Ok(()) }
}

async fn check_programs(config: &Config) -> CliResult {
    checks::find_pg_ctl(Some(&config.postgres().pg_ctl))?;
    let instance = Instance::new(config.instance());
    instance.check_binaries().await.map_err(|error| wrong("postgresql.pg_ctl", &error.to_string()))
}

/// A server that does not run cannot be asked.
async fn check_role(config: &Config) -> CliResult {
    if !PostmasterStatus::of(&config.postgres().pgdata).is_ready() {
        return Ok(());
    }
    let session = Instance::new(config.instance()).session("template1").await;
    session.map(drop).map_err(|error| wrong("postgresql.username", &error.to_string()))
}

fn check_file(name: &str, file: &Option<PathBuf>) -> CliResult {
    file.as_ref().map_or(Ok(()), |file| {
        checks::readable_file(name, file)
            .map(drop)
            .map_err(|error| CliError::new(Exit::BadConfig, error.message))
    })
}

fn check_ssl(ssl: &SslConfig) -> CliResult {
    if ssl.is_active && (ssl.cert_file.is_none() || ssl.key_file.is_none()) {
        return Err(wrong(
            "ssl.active",
            "the server needs a certificate: set ssl.cert_file and ssl.key_file first, or use \"pg_autoctl enable ssl\"",
        ));
    }
    if ssl.mode >= SslMode::VerifyCa && ssl.ca_file.is_none() {
        return Err(wrong(
            "ssl.sslmode",
            &format!("{} needs the certificate of the authority: set ssl.ca_file first", ssl.mode),
        ));
    }
    if ssl.mode > SslMode::Prefer && !ssl.is_active {
        return Err(wrong(
            "ssl.sslmode",
            &format!("{} needs a server that speaks TLS: \"pg_autoctl enable ssl\" sets both", ssl.mode),
        ));
    }
    Ok(())
}

fn wrong(name: &str, why: &str) -> CliError {
    CliError::new(Exit::BadConfig, format!("{name}: {why}"))
}

/// What the configuration names must be there, Postgres and the monitor must let us in.
async fn check(config: &Config, as_json: bool) -> CliResult {
    for (name, why) in config.obsolete() {
        tracing::warn!("{name} changes nothing: {why}");
    }
    let postgres = config.postgres();
    if !postgres.pg_ctl.is_file() {
        return Err(wrong(
            "postgresql.pg_ctl",
            &format!(
                "there is no \"{}\", set it with \"pg_autoctl config set postgresql.pg_ctl PATH\"",
                postgres.pg_ctl.display()
            ),
        ));
    }
    if !postgres.pgdata.join("PG_VERSION").is_file() {
        return Err(wrong(
            "postgresql.pgdata",
            &format!("there is no cluster in \"{}\"", postgres.pgdata.display()),
        ));
    }
    let ssl = config.ssl();
    if ssl.is_active {
        for name in ["ssl.cert_file", "ssl.key_file", "ssl.ca_file", "ssl.crl_file"] {
            check_value(config, name).await?;
        }
    }
    let instance = Instance::new(config.instance());
    let setup = Setup::find(config, &instance).await?;
    check_programs(config).await?;
    let session = instance.session("template1").await;
    session.map_err(|error| {
        CliError::new(Exit::Sql, format!("could not connect to the local Postgres: {error}"))
    })?;
    tracing::info!("connected to the local Postgres");
    check_monitor(config).await?;
    if as_json {
        return print::json(&serde_json::json!({ "postgres": setup, "config": contents::sections(config) }));
    }
    print::line(&setup.to_string())
}

async fn check_monitor(config: &Config) -> CliResult {
    let Config::Node(node) = config else {
        return Ok(());
    };
    let Some(target) = &node.monitor else {
        tracing::info!("the monitor of this node is disabled");
        return Ok(());
    };
    MonitorConnection::connect(target)
        .await
        .map_err(|error| CliError { exit: Exit::Monitor, ..error.into() })?;
    tracing::info!("connected to the monitor, {target}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_that_cannot_work_is_refused_where_it_is_set() {
        let refused = |ssl: SslConfig, why: &str| {
            let error = check_ssl(&ssl).expect_err(why);
            assert_eq!(error.exit, Exit::BadConfig);
            assert!(error.message.contains(why), "{error}");
        };
        let plain = SslConfig::inactive();
        check_ssl(&plain).expect("valid");
        refused(SslConfig { is_active: true, ..plain.clone() }, "certificate");
        refused(SslConfig { mode: SslMode::Require, ..plain.clone() }, "speaks TLS");
        let file = Some(PathBuf::from("/server.crt"));
        let active = SslConfig { is_active: true, cert_file: file.clone(), key_file: file.clone(), ..plain };
        check_ssl(&active).expect("valid");
        refused(SslConfig { mode: SslMode::VerifyFull, ..active.clone() }, "authority");
        check_ssl(&SslConfig { mode: SslMode::VerifyFull, ca_file: file, ..active }).expect("valid");
    }
}
