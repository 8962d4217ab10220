//! `do demo …`: clients that connect, write a row and go, through failovers; and how long they took.

use std::time::{Duration, Instant};

use pgaf_core::{DEFAULT_CLUSTER, GroupId};
use tokio::task::JoinSet;

use super::super::commands::{Demo, DemoOptions};
use super::super::error::{CliError, CliResult};
use super::super::print;
use super::super::table::{Align, Column, render};
use super::super::target::Target;
use crate::client::{ConnectionString, Secret, Session, connect, describe};
use crate::exit::Exit;
use crate::monitor::{MonitorConnection, MonitorError};

/// One attempt to connect to one server.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Between two attempts, and between two connections of a client.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// A client that has not connected for so long gives up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
/// Bars of the histogram, and their longest.
const BUCKETS: usize = 18;
const BAR_WIDTH: usize = 60;

/// Runs one of them.
pub(super) async fn run(command: &Demo) -> CliResult {
    match command {
        Demo::Run(options) => play(options).await,
        Demo::Uri(options) => print::line(&Stage::set(options).await?.uri.to_string()),
        Demo::Ping(options) => ping(options).await,
        Demo::Summary(options) => summary(&Stage::set(options).await?.uri).await,
    }
}

/// Where the clients write.
struct Stage {
    monitor: MonitorConnection,
    formation: String,
    group: GroupId,
    uri: ConnectionString,
}

impl Stage {
    async fn set(options: &DemoOptions) -> CliResult<Self> {
        let target = Target::of(&options.monitor)?;
        let formation = target.formation(&options.group.formation);
        let monitor = target.connect().await?;
        let ssl = target
            .config
            .as_ref()
            .map_or_else(|| target.monitor.ssl.clone(), |config| config.ssl().client_options());
        let uris = monitor.formation_uris(Some(&formation), DEFAULT_CLUSTER, &ssl).await?;
        let uri = uris.into_iter().find_map(|found| found.uri).ok_or_else(|| {
            CliError::new(Exit::Monitor, format!("formation \"{formation}\" has no node to connect to"))
        })?;
        let mut uri: ConnectionString = uri.parse()?;
        uri.user =
            options.username.clone().or_else(|| uri.user.clone()).or_else(|| Some("postgres".to_owned()));
        uri.password = std::env::var("PGPASSWORD").ok().map(Secret::new);
        let group = options.group.group().unwrap_or_default();
        Ok(Self { monitor, formation, group, uri })
    }
}

async fn ping(options: &DemoOptions) -> CliResult {
    let stage = Stage::set(options).await?;
    let begin = Instant::now();
    let (session, retries) = connect_patiently(&stage.uri).await?;
    let server = session
        .client
        .query_one(
            "SELECT coalesce(host(inet_server_addr()), 'local') || ':' || current_setting('port')",
            &[],
        )
        .await;
    let server: String = server.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
    print::line(&format!(
        "connected to {server} in {:.3} ms, after {retries} retries",
        begin.elapsed().as_secs_f64() * 1000.0
    ))
}

/// Connects, trying again while the group has no primary.
async fn connect_patiently(uri: &ConnectionString) -> CliResult<(Session, i32)> {
    let begin = Instant::now();
    let mut retries = 0;
    loop {
        match connect(uri, CONNECT_DEADLINE).await {
            Ok(session) => return Ok((session, retries)),
            Err(error) if begin.elapsed() > GIVE_UP_AFTER => {
                return Err(CliError::new(Exit::Sql, format!("could not connect to {uri}: {error}")));
            }
            Err(_) => retries += 1,
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

fn failed(error: &tokio_postgres::Error) -> CliError {
    CliError::new(Exit::Sql, format!("a statement of the demo failed: {}", describe(error)))
}

async fn play(options: &DemoOptions) -> CliResult {
    let stage = Stage::set(options).await?;
    let (session, _) = connect_patiently(&stage.uri).await?;
    session
        .client
        .batch_execute(
            "DROP SCHEMA IF EXISTS demo CASCADE; CREATE SCHEMA demo; \
             CREATE TABLE demo.tracking (ts timestamptz DEFAULT now(), client integer, loop integer, \
             retries integer, us bigint, PRIMARY KEY (client, loop))",
        )
        .await
        .map_err(|error| failed(&error))?;
    drop(session);
    let end = Instant::now() + Duration::from_secs(options.duration);
    tracing::info!("{} clients write for {} s", options.clients, options.duration);
    let mut clients = JoinSet::new();
    for client in 1..=options.clients {
        clients.spawn(write(stage.uri.clone(), i32::try_from(client).unwrap_or(i32::MAX), end));
    }
    if !options.no_failover {
        fail_over(&stage, options, end).await?;
    }
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|error| CliError::new(Exit::Internal, error.to_string()))??;
    }
    summary(&stage.uri).await
}

/// One client: connects, writes how long that took, and goes; until the end.
async fn write(uri: ConnectionString, client: i32, end: Instant) -> CliResult {
    const INSERT: &str = "INSERT INTO demo.tracking (client, loop, retries, us) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT DO NOTHING";
    let mut number = 0;
    let mut begin = Instant::now();
    let mut all_retries = 0;
    while Instant::now() < end {
        let (session, retries) = connect_patiently(&uri).await?;
        let took = i64::try_from(begin.elapsed().as_micros()).unwrap_or(i64::MAX);
        all_retries += retries;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&client, &number, &all_retries, &took];
        match session.client.execute(INSERT, &parameters).await {
            Ok(_) => {
                number += 1;
                all_retries = 0;
                tokio::time::sleep(RETRY_INTERVAL).await;
                begin = Instant::now();
            }
            // The server went away under it: the time goes on.
            Err(_) => all_retries += 1,
        }
    }
    Ok(())
}

async fn fail_over(stage: &Stage, options: &DemoOptions, end: Instant) -> CliResult {
    let mut next = Instant::now() + Duration::from_secs(options.first_failover);
    while next < end {
        tokio::time::sleep_until(next.into()).await;
        match stage.monitor.perform_failover(&stage.formation, stage.group).await {
            Ok(()) => tracing::info!("failover of formation \"{}\", group {}", stage.formation, stage.group),
            Err(error @ MonitorError::Refused { .. }) => tracing::warn!("no failover: {error}"),
            Err(error) => return Err(error.into()),
        }
        next += Duration::from_secs(options.failover_freq.max(1));
    }
    Ok(())
}

const CLIENT_COLUMNS: [Column; 7] = [
    Column::new("Client", Align::Left, 20),
    Column::new("Connections", Align::Right, 0),
    Column::new("Retries", Align::Right, 0),
    Column::new("Min Connect Time (ms)", Align::Right, 0),
    Column::new("Max", Align::Right, 10),
    Column::new("p95", Align::Right, 10),
    Column::new("p99", Align::Right, 10),
];

const BUCKET_COLUMNS: [Column; 4] = [
    Column::new("Min Connect Time (ms)", Align::Right, 0),
    Column::new("Max", Align::Right, 10),
    Column::new("Freq", Align::Right, 6),
    Column::new("Bar", Align::Free, 20),
];

/// Two tables: one line a client, and a histogram of all connection times.
async fn summary(uri: &ConnectionString) -> CliResult {
    let (session, _) = connect_patiently(uri).await?;
    let rows = session
        .client
        .query("SELECT client, retries, us FROM demo.tracking ORDER BY client, us", &[])
        .await
        .map_err(|error| failed(&error))?;
    let rows: Vec<(i32, i32, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let mut clients: Vec<i32> = rows.iter().map(|row| row.0).collect();
    clients.dedup();
    let mut table: Vec<[String; 7]> = clients
        .iter()
        .map(|client| {
            let own: Vec<_> = rows.iter().filter(|row| row.0 == *client).copied().collect();
            line_of(&format!("Client {client}"), &own)
        })
        .collect();
    table.push(line_of("All Clients Combined", &rows));
    print::line(&render(&CLIENT_COLUMNS, &table))?;
    let times: Vec<f64> = rows.iter().map(|row| milliseconds(row.2)).collect();
    print::line(&render(&BUCKET_COLUMNS, &histogram(&times)))
}

#[allow(clippy::cast_precision_loss)]
fn milliseconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1000.0
}

fn line_of(name: &str, rows: &[(i32, i32, i64)]) -> [String; 7] {
    let mut times: Vec<f64> = rows.iter().map(|row| milliseconds(row.2)).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let text = |time: Option<&f64>| time.map(|time| format!("{time:.3}")).unwrap_or_default();
    [
        name.to_owned(),
        rows.len().to_string(),
        rows.iter().map(|row| i64::from(row.1)).sum::<i64>().to_string(),
        text(times.first()),
        text(times.last()),
        text(at(95)),
        text(at(99)),
    ]
}

/// Buckets of one width from the shortest to the longest; empty ones are left out.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn histogram(times: &[f64]) -> Vec<[String; 4]> {
    let (Some(min), Some(max)) =
        (times.iter().copied().min_by(f64::total_cmp), times.iter().copied().max_by(f64::total_cmp))
    else {
        return Vec::new();
    };
    let width = (max - min) / BUCKETS as f64;
    let bucket_of =
        |time: f64| if width > 0.0 { (((time - min) / width) as usize).min(BUCKETS - 1) } else { 0 };
    let mut buckets: Vec<Vec<f64>> = vec![Vec::new(); BUCKETS];
    for time in times {
        buckets[bucket_of(*time)].push(*time);
    }
    let most = buckets.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let row = |bucket: &Vec<f64>| {
        let low = bucket.iter().copied().fold(f64::INFINITY, f64::min);
        let high = bucket.iter().copied().fold(0.0, f64::max);
        let bar = "▒".repeat((bucket.len() * BAR_WIDTH).div_ceil(most));
        [format!("{low:.3}"), format!("{high:.3}"), bucket.len().to_string(), bar]
    };
    buckets.iter().filter(|bucket| !bucket.is_empty()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_times_become_a_histogram() {
        let rows = histogram(&[1.0, 1.1, 1.2, 19.0]);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!((rows[0][0].as_str(), rows[0][2].as_str()), ("1.000", "3"));
        assert_eq!(rows[0][3].chars().count(), BAR_WIDTH);
        assert_eq!(rows[1][3].chars().count(), BAR_WIDTH / 3);
        assert!(histogram(&[]).is_empty());
        assert_eq!(histogram(&[2.0, 2.0]).len(), 1, "all alike");
    }

    #[test]
    fn a_client_is_summed_up() {
        let line = line_of("Client 1", &[(1, 0, 1_000), (1, 3, 250_000)]);
        assert_eq!(line, ["Client 1", "2", "3", "1.000", "250.000", "250.000", "250.000"].map(str::to_owned));
    }
}
