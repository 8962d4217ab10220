//! `show uri`: how to connect to the monitor and to the formations.

use pgaf_core::DEFAULT_CLUSTER;

use super::super::commands::ShowUri;
use super::super::error::{CliError, CliResult};
use super::super::options::MonitorOrPgdata;
use super::super::print;
use super::super::table::{Align, Column, render};
use super::super::target::Target;
use crate::client::{ConnectionString, SslOptions};
use crate::config::Config;
use crate::exit::Exit;
use crate::monitor::FormationUri;

const COLUMNS: [Column; 3] = [
    Column::new("Type", Align::Right, 12),
    Column::new("Name", Align::Right, 7),
    Column::new("Connection String", Align::Free, 30),
];

/// In the place of a formation: the monitor itself.
const MONITOR: &str = "monitor";

/// Runs it.
pub(super) async fn run(options: &ShowUri) -> CliResult {
    let formation = options.formation.as_deref();
    let is_monitor_asked = options.monitor.as_deref() == Some("") && formation.is_none();
    let monitor_only = is_monitor_asked || formation == Some(MONITOR);
    let target =
        Target::of(&MonitorOrPgdata { pgdata: options.pgdata.clone(), monitor: given_monitor(options) })?;
    let monitor_uri = monitor(&target).to_string();
    if monitor_only {
        // A file that the user of this command can read has the password.
        let is_of_file = given_monitor(options).is_none();
        let monitor_uri = if is_of_file { monitor(&target).to_uri() } else { monitor_uri };
        return show_one(&[(MONITOR, &monitor_uri)], options.json.json);
    }
    let ssl = ssl_options(&target);
    let monitor = target.connect().await?;
    let cluster = options.citus_cluster.as_deref().unwrap_or(DEFAULT_CLUSTER);
    let uris = monitor.formation_uris(formation, cluster, &ssl).await?;
    if let (Some(_), [only]) = (formation, uris.as_slice()) {
        let uri = only.uri.as_deref().ok_or_else(|| no_nodes(&only.formation, cluster))?;
        return show_one(&[(MONITOR, &monitor_uri), (&only.formation, uri)], options.json.json);
    }
    let rows = rows(monitor_uri, uris);
    if options.json.json {
        let objects: Vec<serde_json::Value> =
            rows.iter().map(|[kind, name, uri]| object(kind, name, uri)).collect();
        return print::jsonb(&serde_json::Value::Array(objects));
    }
    print::line(&render(&COLUMNS, &rows))
}

/// --monitor with a value; else PG_AUTOCTL_MONITOR, when there is no node to ask.
fn given_monitor(options: &ShowUri) -> Option<String> {
    let given = options.monitor.clone().filter(|uri| !uri.is_empty());
    given.or_else(|| match options.pgdata.pgdata {
        Some(_) => None,
        None => std::env::var("PG_AUTOCTL_MONITOR").ok(),
    })
}

fn rows(monitor: String, formations: Vec<FormationUri>) -> Vec<[String; 3]> {
    let first = ["monitor".to_owned(), "monitor".to_owned(), monitor];
    let others =
        formations.into_iter().map(|it| ["formation".to_owned(), it.formation, it.uri.unwrap_or_default()]);
    std::iter::once(first).chain(others).collect()
}

fn object(kind: &str, name: &str, uri: &str) -> serde_json::Value {
    let uri = (!uri.is_empty()).then_some(uri);
    serde_json::json!({ "type": kind, "name": name, "uri": uri })
}

/// The last of these connection strings alone; as JSON, all of them by their names.
fn show_one(uris: &[(&str, &str)], as_json: bool) -> CliResult {
    if as_json {
        let object: serde_json::Map<String, serde_json::Value> =
            uris.iter().map(|(name, uri)| ((*name).to_owned(), (*uri).into())).collect();
        return print::json(&serde_json::Value::Object(object));
    }
    uris.last().map_or(Ok(()), |(_, uri)| print::line(uri))
}

fn no_nodes(formation: &str, cluster: &str) -> CliError {
    let of_cluster =
        if cluster == DEFAULT_CLUSTER { String::new() } else { format!(" in Citus cluster \"{cluster}\"") };
    CliError::new(
        Exit::Monitor,
        format!(
            "formation \"{formation}\" has no node{of_cluster} to connect to: \"pg_autoctl create postgres\" makes one"
        ),
    )
}

/// As nodes give it to --monitor, with its password.
fn monitor(target: &Target) -> ConnectionString {
    match &target.config {
        Some(Config::Monitor(config)) => config.uri(),
        _ => target.monitor.clone(),
    }
}

fn ssl_options(target: &Target) -> SslOptions {
    target.config.as_ref().map_or_else(|| target.monitor.ssl.clone(), |config| config.ssl().client_options())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_show_as_people_know_them() {
        let uri = "postgres://192.0.2.2:5432/postgres?target_session_attrs=read-write&sslmode=prefer";
        let rows = rows(
            "postgres://autoctl_node@192.0.2.1:5432/pg_auto_failover".to_owned(),
            vec![FormationUri { formation: "default".to_owned(), uri: Some(uri.to_owned()) }],
        );
        let expected = format!(
            "        Type |    Name | Connection String\n\
             -------------+---------+-------------------------------\n     \
             monitor | monitor | postgres://autoctl_node@192.0.2.1:5432/pg_auto_failover\n   \
             formation | default | {uri}\n"
        );
        assert_eq!(render(&COLUMNS, &rows), expected);
    }
}
