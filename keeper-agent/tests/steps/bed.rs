//! Temporary servers: each test has a directory and ports of its own, and leaves neither files nor processes.

use std::cell::RefCell;
use std::net::TcpListener;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use keeper_agent::client::{Secret, SslOptions};
use keeper_agent::config::{AuthMethod, HbaLevel};
use keeper_agent::postgres::{Instance, InstanceConfig, ServerKind, ServerSsl, SocketDir};
use libtest_mimic::Failed;
use pgaf_core::id::NodeId;
use pgaf_core::keeper::{Observation, Running, Server, Step, StopMode};
use pgaf_core::lsn::Lineage;
use pgaf_core::message::Peer;
use tempfile::TempDir;

/// What a test returns.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A password with everything in it that could need quoting.
const PASSWORD: &str = "it's \\ a:secret";
/// Longer than this nothing is waited for.
const DEADLINE: Duration = Duration::from_secs(30);

/// The place of one test.
pub(crate) struct Bed {
    directory: TempDir,
    nodes: RefCell<Vec<PathBuf>>,
}

/// Runs a test on a runtime like the keeper's.
pub(crate) fn run(name: &str, test: impl AsyncFnOnce(&Bed) -> Outcome) -> Result<(), Failed> {
    let directory = tempfile::Builder::new().prefix("pgaf-step-").tempdir()?;
    let bed = Bed { directory, nodes: RefCell::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(180), test(&bed))
            .await
            .unwrap_or_else(|_| Err("the test takes too long".into()))
    });
    if outcome.is_err() {
        bed.print_logs(name);
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map_err(|error| Failed::from(error.to_string()))
}

impl Drop for Bed {
    fn drop(&mut self) {
        for pgdata in self.nodes.borrow().iter() {
            kill_all_of(pgdata);
        }
    }
}

/// Where Postgres's programs are.
pub(crate) fn bin_dir() -> PathBuf {
    let pg_config = std::env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
    let output = Command::new(pg_config).arg("--bindir").output().expect("pg_config runs");
    String::from_utf8(output.stdout).expect("a path").trim().into()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Bed {
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A node that has no data yet.
    pub(crate) fn node(&self, id: i64) -> Node {
        self.node_with(id, |_| {})
    }

    /// A node whose configuration is a little different.
    pub(crate) fn node_with(&self, id: i64, change: impl FnOnce(&mut InstanceConfig)) -> Node {
        let root = self.path().join(format!("n{id}"));
        std::fs::create_dir_all(&root).expect("created");
        let mut config = InstanceConfig {
            pgdata: root.join("data"),
            bin_dir: bin_dir(),
            state_dir: root.join("state"),
            port: free_port(),
            listen_addresses: "127.0.0.1".to_owned(),
            socket_dir: SocketDir::Directory(root.clone()),
            superuser: "postgres".to_owned(),
            dbname: "postgres".to_owned(),
            hostname: "127.0.0.1".to_owned(),
            node: Some(NodeId(id)),
            name: format!("n{id}"),
            server_ssl: ServerSsl::default(),
            client_ssl: SslOptions::default(),
            auth: AuthMethod::ScramSha256,
            hba_level: HbaLevel::Minimal,
            formation_hosts: Vec::new(),
            monitor_host: None,
            replication_password: Some(Secret::new(PASSWORD)),
            maximum_backup_rate: String::new(),
            kind: ServerKind::DataNode,
            extra_settings: vec![
                ("shared_buffers".to_owned(), "8MB".to_owned()),
                ("max_connections".to_owned(), "20".to_owned()),
            ],
        };
        change(&mut config);
        self.nodes.borrow_mut().push(config.pgdata.clone());
        Node { id, instance: Rc::new(Instance::new(config)) }
    }

    /// A primary that runs, with its roles. Its data is a copy of what initdb has made once.
    pub(crate) async fn primary(&self, id: i64) -> Result<Node, Box<dyn std::error::Error>> {
        let node = self.node(id);
        node.copy_template().await?;
        node.start().await?;
        node.ensure_replication_roles().await?;
        Ok(node)
    }

    /// A standby of `primary` that streams.
    pub(crate) async fn standby(&self, id: i64, primary: &Node) -> Result<Node, Box<dyn std::error::Error>> {
        let node = self.node(id);
        primary.admit(&[&node]).await?;
        node.join(primary).await?;
        Ok(node)
    }

    fn print_logs(&self, name: &str) {
        for pgdata in self.nodes.borrow().iter() {
            let logs = std::fs::read_dir(pgdata.join("log")).into_iter().flatten();
            let mut logs: Vec<PathBuf> = logs.filter_map(|entry| Some(entry.ok()?.path())).collect();
            logs.push(pgdata.join("startup.log"));
            for log in logs {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(25).collect();
                eprintln!("--- {name}: the end of {}", log.display());
                for line in lines.iter().rev() {
                    eprintln!("{line}");
                }
            }
        }
    }
}

/// A node of a test.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) id: i64,
    pub(crate) instance: Rc<Instance>,
}

impl Deref for Node {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// A cluster that was never started, for this run of the tests.
static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();

fn template() -> PathBuf {
    std::env::temp_dir().join(format!("pgaf-step-template-{}", std::process::id()))
}

/// Removes the template.
pub(crate) fn clean_up() {
    if TEMPLATE.get().is_some() {
        std::fs::remove_dir_all(template()).expect("removed");
    }
}

fn make_template() -> PathBuf {
    let path = template();
    let made = Command::new(bin_dir().join("initdb"))
        .args(["--username=postgres", "--encoding=UTF8", "--auth-local=trust", "--no-sync", "-D"])
        .arg(&path)
        .output()
        .expect("initdb runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

impl Node {
    /// In the place of initdb, which takes longer.
    async fn copy_template(&self) -> Outcome {
        let template = TEMPLATE.get_or_init(make_template);
        let copied = Command::new("cp").arg("-a").arg(template).arg(self.pgdata()).status()?;
        check(copied.success(), "copied")?;
        std::fs::set_permissions(self.pgdata(), std::fs::Permissions::from_mode(0o700))?;
        self.write_settings().await?;
        self.write_hba(&[]).await?;
        Ok(())
    }

    /// How the others connect to it.
    pub(crate) fn peer(&self) -> Peer {
        let config = self.config();
        Peer {
            node: NodeId(self.id),
            name: config.name.clone(),
            host: config.hostname.clone(),
            port: config.port,
        }
    }

    pub(crate) fn pgdata(&self) -> PathBuf {
        self.config().pgdata.clone()
    }

    /// A new keeper for the same data.
    pub(crate) fn reborn(&self) -> Self {
        let config = (*self.config()).clone();
        Self { id: self.id, instance: Rc::new(Instance::new(config)) }
    }

    pub(crate) async fn admit(&self, peers: &[&Self]) -> Outcome {
        let peers = peers.iter().map(|node| node.peer()).collect();
        Ok(self.execute(&Step::AdmitStandbys { peers }).await?)
    }

    /// Copies, follows, starts, and waits for the stream.
    pub(crate) async fn join(&self, primary: &Self) -> Outcome {
        let upstream = primary.peer();
        self.execute(&Step::BaseBackup { upstream: upstream.clone() }).await?;
        self.execute(&Step::Follow { upstream: Some(upstream) }).await?;
        self.start().await?;
        self.await_stream().await
    }

    /// Starts it, and looks until it runs: a busy machine may need longer than a step waits.
    pub(crate) async fn start(&self) -> Outcome {
        self.execute(&Step::StartPostgres).await?;
        self.until("the server", |observation| matches!(observation.observed.server, Server::Running(_)))
            .await?;
        Ok(())
    }

    pub(crate) async fn stop(&self, mode: StopMode) -> Outcome {
        Ok(self.execute(&Step::StopPostgres(mode)).await?)
    }

    pub(crate) async fn follow(&self, upstream: Option<&Self>) -> Outcome {
        let upstream = upstream.map(Self::peer);
        Ok(self.execute(&Step::Follow { upstream }).await?)
    }

    /// What it says of itself, after recovery; an error when it does not answer.
    pub(crate) async fn running(&self) -> Result<Running, Box<dyn std::error::Error>> {
        let observation = self
            .until("the end of recovery", |observation| observation.observed.server != Server::Starting)
            .await?;
        match observation.observed.server {
            Server::Running(running) => Ok(running),
            other => Err(format!("node {} is {other:?}", self.id).into()),
        }
    }

    /// Looks until what is seen is as wanted.
    pub(crate) async fn until(
        &self,
        what: &str,
        is_so: impl Fn(&Observation) -> bool,
    ) -> Result<Observation, String> {
        let started = Instant::now();
        loop {
            let observation = self.observe(None).await;
            if is_so(&observation) {
                return Ok(observation);
            }
            if started.elapsed() > DEADLINE {
                return Err(format!("node {}: {what} does not come: {observation:?}", self.id));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn await_stream(&self) -> Outcome {
        self.until("the stream", |observation| {
            observation.upstream.is_some_and(|upstream| upstream.is_streaming)
        })
        .await?;
        Ok(())
    }

    /// Runs a statement without a result, as an application would: its commit waits for standbys.
    pub(crate) async fn sql(&self, statement: &str) -> Outcome {
        let session = self.session("postgres").await?;
        session.batch_execute("SET synchronous_commit = on; SET search_path = public").await?;
        let done = session.batch_execute(statement).await;
        done.map_err(|error| keeper_agent::client::describe(&error).into())
    }

    /// Asks for one text.
    pub(crate) async fn ask(&self, query: &str) -> Result<String, Box<dyn std::error::Error>> {
        let session = self.session("postgres").await?;
        session.batch_execute("SET search_path = public").await?;
        Ok(session.query_one(query, &[]).await?.try_get(0)?)
    }

    /// Waits until this standby has replayed what the primary has written by now.
    pub(crate) async fn catch_up(&self, primary: &Self) -> Outcome {
        let end = primary.running().await?.lsn;
        self.until(
            "the primary's log",
            |observation| matches!(&observation.observed.server, Server::Running(running) if running.replayed >= end),
        )
        .await?;
        Ok(())
    }

    pub(crate) fn postmaster_pid(&self) -> i32 {
        let content = std::fs::read_to_string(self.pgdata().join("postmaster.pid")).unwrap_or_default();
        content.lines().next().and_then(|line| line.parse().ok()).unwrap_or_default()
    }
}

/// Every process that works in this directory. One whose program has been unmapped has ended but for its cleaning up.
pub(crate) fn processes_of(pgdata: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let link = |of: &str| std::fs::read_link(format!("/proc/{pid}/{of}"));
            link("exe").is_ok() && link("cwd").is_ok_and(|path| path.starts_with(pgdata))
        })
        .collect()
}

pub(crate) fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("signalled");
}

fn kill_all_of(pgdata: &Path) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        let left = processes_of(pgdata);
        if left.is_empty() {
            return;
        }
        for pid in left {
            // It may have gone by itself.
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fails the test unless the condition holds.
pub(crate) fn check(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(format!("does not hold: {what}").into()) }
}

/// How a node's log relates to that of another; a question that was not answered in time is asked again.
pub(crate) async fn lineage(node: &Node, upstream: &Node) -> Option<Lineage> {
    let started = Instant::now();
    loop {
        let found = node.observe(Some(&upstream.peer())).await.observed.lineage;
        if found.is_some() || started.elapsed() > DEADLINE {
            return found;
        }
    }
}
