//! Clients that people write with the drivers they have, as docs/guide/client-timeouts.md advises: the programs of
//! docs/examples/clients. Each is printed with its pauses.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios, two_nodes};
use crate::harness::{Cluster, Host, Setup, run_to_end, wait_for};

scenarios! {
    two_nodes: clients_with_libpq;
    with_psycopg: clients_with_psycopg;
    with_pgx: clients_with_pgx;
    with_jdbc: clients_with_jdbc;
}

const JDBC: &str = "/usr/share/java/postgresql.jar";
const GO_SOURCES: &str = "/usr/share/gocode/src/github.com/jackc/pgx";
/// A compiler that begins with an empty cache.
const BUILD: Duration = Duration::from_secs(300);

fn with_psycopg() -> Setup {
    Setup { needs: &["/usr/lib/python3/dist-packages/psycopg"], ..two_nodes() }
}

fn with_pgx() -> Setup {
    Setup { needs: &["/usr/bin/go", GO_SOURCES], ..two_nodes() }
}

fn with_jdbc() -> Setup {
    Setup { needs: &["/usr/bin/java", "/usr/bin/javac", JDBC], ..two_nodes() }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/clients").join(name)
}

/// A program that prints each number that was committed.
struct Client {
    child: Child,
    acks: Arc<Mutex<Vec<(u64, Instant)>>>,
}

impl Client {
    /// Starts it on the monitor's host, where it outlives every node.
    fn start(cluster: &Cluster, program: &str, args: &[&str], writer: usize) -> Result<Self> {
        let hosts: Vec<String> = cluster.nodes.iter().map(|node| node.address().to_string()).collect();
        let (hosts, writer) = (hosts.join(","), writer.to_string());
        let args = [args, &[&hosts, &writer]].concat();
        let log = File::create(cluster.monitor.directory.join("client.log"))?;
        let mut child = cluster
            .monitor
            .command(program, &args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let output = child.stdout.take().context("it has no output")?;
        let acks = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&acks);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(value) = line.trim().parse() {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push((value, Instant::now()));
                }
            }
        });
        Ok(Self { child, acks })
    }

    fn acks(&self) -> Vec<(u64, Instant)> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait_for_ack(&self, within: Duration) -> Result<()> {
        let since = Instant::now();
        wait_for("a commit of the client", within, || {
            Ok(self.acks().last().filter(|(_, at)| *at > since).map(|_| ()))
        })
    }

    /// The longest time without a commit since then.
    fn pause_since(&self, since: Instant) -> Duration {
        let acks = self.acks();
        let start = acks.partition_point(|(_, at)| *at < since).saturating_sub(1);
        let pairs = acks[start..].windows(2);
        pairs.map(|pair| pair[1].1 - pair[0].1).max().unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A way to lose the primary, and the way back.
type Loss = (&'static str, fn(&mut Host) -> Result<()>, fn(&mut Host) -> Result<()>);

const LOSSES: [Loss; 3] = [
    ("killed", |host| host.kill_everything(), |host| host.run()),
    ("cut off", |host| host.link.cut(), |host| host.link.restore()),
    ("frozen", |host| host.freeze(), |host| host.thaw()),
];

fn expect_service(cluster: &mut Cluster, name: &str, program: &str, args: &[&str]) -> Result<()> {
    let client = Client::start(cluster, program, args, 1)?;
    let mut pauses = Vec::new();
    for (loss, lose, mend) in LOSSES {
        client.wait_for_ack(SOON)?;
        let (since, primary) = (Instant::now(), cluster.primary()?);
        lose(cluster.host_mut(&primary)?)?;
        cluster.wait_another_primary(&primary, TAKEOVER)?;
        client.wait_for_ack(TAKEOVER)?;
        pauses.push(format!("{loss} {:.2} s", client.pause_since(since).as_secs_f64()));
        mend(cluster.host_mut(&primary)?)?;
        cluster.wait_whole(WHOLE)?;
    }
    println!("{name}: {}", pauses.join(", "));
    client.wait_for_ack(SOON)?;
    let acks = client.acks();
    drop(client);
    let primary = cluster.primary()?;
    let rows = cluster.host(&primary)?.psql("postgres", "select value from ledger where writer = 1")?;
    let present: std::collections::BTreeSet<&str> = rows.lines().collect();
    let lost: Vec<u64> = acks
        .iter()
        .map(|(value, _)| *value)
        .filter(|value| !present.contains(value.to_string().as_str()))
        .collect();
    ensure!(lost.is_empty(), "{} of {} commits are not on {primary}: {lost:?}", lost.len(), acks.len());
    Ok(())
}

fn clients_with_libpq(cluster: &mut Cluster) -> Result<()> {
    expect_service(cluster, "libpq", "sh", &[&example("libpq.sh").display().to_string()])
}

fn clients_with_psycopg(cluster: &mut Cluster) -> Result<()> {
    expect_service(cluster, "psycopg", "python3", &[&example("with_psycopg.py").display().to_string()])
}

fn clients_with_pgx(cluster: &mut Cluster) -> Result<()> {
    let host = &cluster.monitor;
    let program = host.directory.join("home/pgx").display().to_string();
    let mut build = host.command("go", &["build", "-o", &program, &example("pgx.go").display().to_string()]);
    build
        .env("GOPATH", "/usr/share/gocode")
        .env("GO111MODULE", "off")
        .env("GOCACHE", host.directory.join("home/cache"));
    run_to_end(&mut build, BUILD)?.success()?;
    expect_service(cluster, "pgx", &program, &[])
}

fn clients_with_jdbc(cluster: &mut Cluster) -> Result<()> {
    let host = &cluster.monitor;
    let classes = host.directory.join("home").display().to_string();
    let source = example("Jdbc.java").display().to_string();
    run_to_end(&mut host.command("javac", &["-cp", JDBC, "-d", &classes, &source]), BUILD)?.success()?;
    expect_service(cluster, "JDBC", "java", &["-cp", &format!("{JDBC}:{classes}"), "Jdbc"])
}
