//! A monitor and a few nodes on loopback ports, and what a case asks of them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};

use crate::harness::ledger::{parse_rows, verify_ledgers};
use crate::harness::process::kill_below;
use crate::harness::watch::{NodeRow, describe};
use crate::harness::workload::TABLE_DDL;
use crate::harness::{
    Application, Audience, Door, Ledger, Pace, Sql, Target, Tools, Writer, is_kept, remove_directory,
    run_directory, wait_for,
};
use crate::node::Node;

/// How long anything may take that a case only waits for.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);
/// How long a connection of the test's own may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Lines shown of each log.
const LOG_LINES: usize = 50;

/// A monitor and its nodes; taken down on drop.
pub(crate) struct Bed {
    pub(crate) monitor: Node,
    pub(crate) nodes: Vec<Node>,
    /// Of role autoctl_node, on a monitor that wants one and encryption.
    pub(crate) password: Option<&'static str>,
    pub(crate) tools: Tools,
    pub(crate) directory: PathBuf,
    watch: RefCell<Option<Sql>>,
    writers: AtomicUsize,
}

impl Bed {
    /// A bed with nothing that runs.
    pub(crate) fn new() -> Result<Self> {
        static SERIAL: AtomicUsize = AtomicUsize::new(1);
        let tools = Tools::ours()?;
        let directory = run_directory().join(format!("b{}", SERIAL.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&directory)?;
        let monitor = Node::new(&tools, &directory, "monitor")?;
        let (nodes, watch, writers) = (Vec::new(), RefCell::new(None), AtomicUsize::new(0));
        Ok(Self { monitor, nodes, password: None, tools, directory, watch, writers })
    }

    /// A monitor and so many nodes, n1 the primary, with the table that writers write to.
    pub(crate) fn bring_up(&mut self, nodes: usize) -> Result<()> {
        self.start_monitor(&[])?;
        for number in 1..=nodes {
            self.add(&format!("n{number}"), &[])?;
            if number == 1 {
                self.wait(&[("n1", "single")])?;
                self.node("n1").sql(TABLE_DDL)?;
            }
        }
        if nodes > 1 { self.wait_whole() } else { Ok(()) }
    }

    /// Makes and starts the monitor.
    pub(crate) fn start_monitor(&mut self, options: &[&str]) -> Result<()> {
        let port = self.monitor.port.to_string();
        let mut args = vec!["create", "monitor", "--pgport", &port, "--run"];
        if !options.iter().any(|option| option.contains("ssl")) {
            args.push("--no-ssl");
        }
        for (option, value) in [("--hostname", "127.0.0.1"), ("--auth", "trust")] {
            if !options.contains(&option) {
                args.extend([option, value]);
            }
        }
        self.monitor.start(&[args.as_slice(), options].concat())?;
        wait_for("the monitor to have its extension", WITHIN, || {
            if let Some(status) = self.monitor.keeper_ended()? {
                return Ok(Some(Err(anyhow!("`create monitor` ended: {status}"))));
            }
            self.monitor.sql_as(
                "postgres",
                "pg_auto_failover",
                "select count(*) from pgautofailover.formation",
            )?;
            Ok(Some(Ok(())))
        })?
    }

    /// Takes away the monitor that it began with, for a case that starts one of another kind.
    pub(crate) fn without_monitor(&mut self) -> Result<()> {
        self.monitor.stop()?;
        self.watch.replace(None);
        self.monitor = Node::new(&self.tools, &self.directory, "own-monitor")?;
        Ok(())
    }

    /// Directories for a node that a case sets up by itself.
    pub(crate) fn prepare(&mut self, name: &str) -> Result<&mut Node> {
        self.nodes.push(Node::new(&self.tools, &self.directory, name)?);
        Ok(self.node_mut(name))
    }

    /// Makes and starts a node; does not wait for it.
    pub(crate) fn add(&mut self, name: &str, options: &[&str]) -> Result<()> {
        self.prepare(name)?;
        self.create(name, options)
    }

    /// Makes and starts a node that was prepared; does not wait for it.
    pub(crate) fn create(&mut self, name: &str, options: &[&str]) -> Result<()> {
        let args = self.create_args(name, options);
        self.node_mut(name).start(&[args, vec!["--run".to_owned()]].concat())
    }

    /// The arguments of `pg_autoctl` that create a node which was prepared, without `--run`.
    pub(crate) fn create_args(&self, name: &str, options: &[&str]) -> Vec<String> {
        let (port, monitor) = (self.node(name).port.to_string(), self.monitor_uri());
        let mut args = vec!["create", "postgres", "--name", name, "--pgport", &port];
        for (option, value) in
            [("--hostname", "127.0.0.1"), ("--monitor", monitor.as_str()), ("--auth", "trust")]
        {
            if !options.contains(&option) {
                args.extend([option, value]);
            }
        }
        if !options.iter().any(|option| option.contains("ssl")) {
            args.push("--no-ssl");
        }
        args.iter().chain(options).map(|part| (*part).to_owned()).collect()
    }

    /// As nodes are told it.
    pub(crate) fn monitor_uri(&self) -> String {
        format!("postgres://autoctl_node@127.0.0.1:{}/pg_auto_failover", self.monitor.port)
    }

    /// The node of that name.
    #[track_caller]
    pub(crate) fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("a node of that name")
    }

    /// The same, to change what runs there.
    #[track_caller]
    pub(crate) fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).expect("a node of that name")
    }

    /// What the monitor says of its nodes, by id.
    pub(crate) fn rows(&self) -> Result<Vec<NodeRow>> {
        self.on_monitor(NodeRow::all)
    }

    pub(crate) fn on_monitor<T>(&self, ask: impl FnOnce(&Sql) -> Result<T>) -> Result<T> {
        let sql = match self.watch.take() {
            Some(open) => open,
            None => {
                let mut target = self.monitor.target("autoctl_node", "pg_auto_failover");
                target.password = self.password;
                target.tls = self.password.map(|_| None);
                let sql = Sql::open(&target, CONNECT_DEADLINE)?;
                // A case may have set these for everybody else.
                sql.rows("set statement_timeout = 0; set idle_session_timeout = 0")?;
                sql
            }
        };
        let answer = ask(&sql)?;
        // Kept only after an answer: a connection that failed once is not used again.
        self.watch.replace(Some(sql));
        Ok(answer)
    }

    /// Waits until goal and report of these nodes are these states.
    pub(crate) fn wait(&self, states: &[(&str, &str)]) -> Result<()> {
        wait_for(&format!("{states:?}"), WITHIN, || {
            let rows = self.rows()?;
            let is_there = |(name, state): &(&str, &str)| {
                rows.iter().any(|row| row.name == *name && row.settled() == Some(state))
            };
            ensure!(states.iter().all(is_there), "{}", describe(&rows));
            Ok(Some(()))
        })
    }

    /// Waits until one node is primary and all the others are secondary.
    pub(crate) fn wait_whole(&self) -> Result<()> {
        wait_for("one primary, all others secondary", WITHIN, || {
            let rows = self.rows()?;
            let count = |state: &str| rows.iter().filter(|row| row.settled() == Some(state)).count();
            let is_whole = count("primary") == 1 && count("secondary") == self.nodes.len() - 1;
            ensure!(is_whole && rows.len() == self.nodes.len(), "{}", describe(&rows));
            Ok(Some(()))
        })
    }

    /// Waits until that node serves writes, as the monitor sees it.
    pub(crate) fn wait_primary(&self, name: &str) -> Result<()> {
        wait_for(&format!("{name} to be primary"), WITHIN, || {
            let rows = self.rows()?;
            let primaries: Vec<&NodeRow> = rows.iter().filter(|row| row.writes()).collect();
            match primaries.as_slice() {
                [row] if row.name == name => Ok(Some(())),
                _ => bail!("{}", describe(&rows)),
            }
        })
    }

    /// Waits until `show state` on the monitor says something.
    pub(crate) fn wait_shown(&self, words: &str) -> Result<()> {
        wait_for(&format!("`show state` to say \"{words}\""), WITHIN, || {
            let shown = self.monitor.autoctl(&["show", "state"])?;
            ensure!(shown.contains(words), "{shown}");
            Ok(Some(()))
        })
    }

    /// Waits until a node has last reported this state, whatever its goal is.
    pub(crate) fn wait_reported(&self, name: &str, state: &str) -> Result<()> {
        wait_for(&format!("{name} to report {state}"), WITHIN, || {
            let rows = self.rows()?;
            let is_so = rows.iter().any(|row| row.name == name && row.reported == state);
            ensure!(is_so, "{}", describe(&rows));
            Ok(Some(()))
        })
    }

    /// Waits until the monitor has an event like this, in the manner of LIKE.
    pub(crate) fn wait_event(&self, pattern: &str) -> Result<()> {
        let sql = format!("select count(*) from pgautofailover.event where description like '{pattern}'");
        wait_for(&format!("the event \"{pattern}\""), WITHIN, || {
            let count = self.monitor.sql_as("postgres", "pg_auto_failover", &sql)?;
            Ok((count != "0").then_some(()))
        })
    }

    /// Nobody was promoted, and nobody has failed: all timelines are still the first one.
    pub(crate) fn check_no_failover(&self) -> Result<()> {
        let rows = self.rows()?;
        ensure!(rows.iter().all(|row| row.timeline <= 1), "somebody was promoted: {}", describe(&rows));
        Ok(())
    }

    /// Starts a client that knows all nodes and writes to whoever accepts writes; it has written when this returns.
    pub(crate) fn writer(&self) -> Result<Writer> {
        self.writer_as("postgres")
    }

    /// The same as another role.
    pub(crate) fn writer_as(&self, role: &'static str) -> Result<Writer> {
        self.writer_with(role, None)
    }

    /// The same with a password.
    pub(crate) fn writer_with(&self, role: &'static str, password: Option<&'static str>) -> Result<Writer> {
        let target = |node: &Node| Target { password, ..node.target(role, "postgres") };
        let targets = self.nodes.iter().map(target).collect();
        let number = self.writers.fetch_add(1, Ordering::Relaxed) + 1;
        let application = Application::new(Audience::ReadWrite, Pace::BRISK);
        let writer = Writer::start(number, Door::here()?, targets, application);
        writer.wait_for_ack(WITHIN)?;
        Ok(writer)
    }

    /// The primary, n1, is lost; n2 takes over with everything, and n1 comes back.
    pub(crate) fn fail_over(&mut self) -> Result<()> {
        let writer = self.writer()?;
        self.node_mut("n1").kill_both()?;
        self.wait_primary("n2")?;
        writer.wait_for_ack(WITHIN)?;
        self.node_mut("n1").run()?;
        self.wait_whole()?;
        self.verify("n2", &[writer.stop()])
    }

    /// Every acknowledged row is on that node, and there never were two writers.
    pub(crate) fn verify(&self, primary: &str, ledgers: &[Ledger]) -> Result<()> {
        let text = self.node(primary).sql("select writer, value from public.ledger")?;
        verify_ledgers(&parse_rows(&text)?, primary, ledgers)
    }

    /// What a person needs who has to find out why a case failed: the state, the last events, the ends of all logs.
    pub(crate) fn dump(&self) -> String {
        let mut text = String::new();
        let state = self.monitor.autoctl(&["show", "state"]);
        line(&mut text, &state.unwrap_or_else(|error| format!("no state: {error:#}")));
        let sql = "select to_char(eventtime, 'HH24:MI:SS.MS'), nodename, reportedstate, goalstate, description from \
                   (select * from pgautofailover.event order by eventid desc limit 40) last order by eventid";
        let events = self.monitor.sql_as("postgres", "pg_auto_failover", sql);
        line(&mut text, &events.unwrap_or_else(|error| format!("no events: {error:#}")));
        for node in std::iter::once(&self.monitor).chain(&self.nodes) {
            for directory in [&node.directory, &node.pgdata().join("log")] {
                for log in logs_in(directory) {
                    append_end(&mut text, &log, &self.directory);
                }
            }
        }
        let kept = if is_kept() { "the files are in" } else { "PGAF_KEEP=1 would have kept" };
        line(&mut text, &format!("{kept} {}", self.directory.display()));
        text
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Err(error) = kill_below(&self.directory) {
            eprintln!("{error:#}");
        }
        if !is_kept() {
            remove_directory(&self.directory);
        }
    }
}

fn logs_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    logs
}

fn append_end(text: &mut String, log: &Path, root: &Path) {
    let content = fs::read(log).unwrap_or_else(|error| error.to_string().into_bytes());
    let content = String::from_utf8_lossy(&content);
    line(text, &format!("--- {}", log.strip_prefix(root).unwrap_or(log).display()));
    let lines: Vec<&str> = content.lines().collect();
    for last in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        line(text, last);
    }
}

fn line(text: &mut String, content: &str) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "{content}");
}
