//! Nodes without a monitor, and nodes that come to a monitor and leave it while their Postgres runs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::bed::{Bed, Ended, as_user, free_port};
use crate::server::{Server, bin_dir};

/// Longer than this nothing is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A node whose keeper runs until the end of the test.
struct Node<'a> {
    bed: &'a Bed,
    pgdata: &'static str,
    port: u16,
    keeper: Child,
}

impl<'a> Node<'a> {
    fn start(bed: &'a Bed, id: i64, pgdata: &'static str) -> Self {
        let port = free_port();
        let create = format!(
            "create postgres --disable-monitor --node-id {id} --name {pgdata} --pgdata {pgdata} --pgport {port} \
             --hostname 127.0.0.1 --no-ssl --auth trust --pgctl {}",
            bin_dir().join("pg_ctl").display()
        );
        bed.run(create).succeeds();
        let keeper = bed.start(format!("run --pgdata {pgdata}"), &format!("{pgdata}.log"));
        let node = Self { bed, pgdata, port, keeper };
        // Postgres is not made yet.
        node.until("a keeper", || matches!(node.run("status").code, 0 | 5));
        node
    }

    fn run(&self, command: &str) -> Ended {
        let command = format!("{command} --pgdata {}", self.pgdata);
        self.bed.run_with(command, &[("PG_AUTOCTL_DEBUG", "1")])
    }

    fn assign(&self, state: &str) {
        let shown = self.run(&format!("do fsm assign {state}")).succeeds();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["state"]["current_role"], state, "{shown}");
    }

    fn postmaster(&self) -> String {
        let file = self.bed.path(self.pgdata).join("postmaster.pid");
        let content = std::fs::read_to_string(file).expect("Postgres runs");
        content.lines().next().expect("a line").to_owned()
    }

    fn sql(&self, statement: &str) -> String {
        let output = psql(self.bed, self.port, statement).output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn state(&self) -> Value {
        let file = self.run("show file --state").succeeds();
        serde_json::from_str(&std::fs::read_to_string(file.trim()).expect("there")).expect("JSON")
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            let log = std::fs::read_to_string(self.bed.path(&format!("{}.log", self.pgdata)));
            assert!(begin.elapsed() < DEADLINE, "{what} does not come: {}", log.unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let keeper = Pid::from_raw(self.keeper.id().cast_signed());
        // It may have ended by itself.
        let _ = kill(keeper, Signal::SIGQUIT);
        let _ = self.keeper.wait();
    }
}

fn psql(bed: &Bed, port: u16, statement: &str) -> Command {
    let mut command = as_user(bin_dir().join("psql"));
    command.args(["-XAtq", "-U", "postgres", "-p", &port.to_string(), "-d", "postgres", "-c", statement]);
    command.arg("-h").arg(bed.path("")).stdin(Stdio::null());
    command
}

/// Two nodes that were made by hand: a primary whose commits wait for its standby.
fn pair(bed: &Bed) -> [Node<'_>; 2] {
    let (one, two) = (Node::start(bed, 1, "n1"), Node::start(bed, 2, "n2"));
    one.assign("single");
    let nodes = format!(
        r#"[{{"node_id": 1, "node_name": "n1", "node_host": "127.0.0.1", "node_port": {}, "node_lsn": "0/1", "node_is_primary": true}},
            {{"node_id": 2, "node_name": "n2", "node_host": "127.0.0.1", "node_port": {}, "node_lsn": "0/1", "node_is_primary": false}}]"#,
        one.port, two.port
    );
    bed.write(&bed.path("nodes.json"), &nodes);
    for node in [&one, &two] {
        node.run("do fsm nodes set nodes.json").succeeds();
    }
    one.assign("wait_primary");
    two.assign("wait_standby");
    two.assign("catchingup");
    two.assign("secondary");
    one.assign("primary");
    [one, two]
}

#[test]
fn a_pair_without_a_monitor_comes_to_one_and_leaves_it() {
    let bed = Bed::new();
    let [one, two] = pair(&bed);
    assert_eq!(one.sql("SHOW synchronous_standby_names"), "ANY 1 (pgautofailover_standby_2)");
    one.sql("CREATE TABLE t ()");
    let postmasters = [one.postmaster(), two.postmaster()];
    let server = Server::start(&bed).play_monitor("3.0");
    server.change(include_str!("registry.sql"));
    let uri = server.uri();

    one.run("enable monitor postgres://nobody@127.0.0.1:1/x").refuses(6, "check that the monitor runs");
    assert_eq!(one.run("config get pg_autoctl.monitor").succeeds(), "PG_AUTOCTL_DISABLED\n");
    two.run(&format!("enable monitor {uri}")).succeeds();
    one.run(&format!("enable monitor {uri}")).succeeds();
    let identifier = one.sql("SELECT system_identifier FROM pg_control_system()");
    let rows = "SELECT nodeid, nodename, goalstate, sysidentifier, candidatepriority, replicationquorum \
                FROM pgautofailover.node ORDER BY nodeid";
    assert_eq!(
        server.ask(rows),
        format!("1|n1|primary|{identifier}|50|t\n2|n2|secondary|{identifier}|50|t\n")
    );
    for node in [&one, &two] {
        assert_eq!(node.state()["reported_epoch"], 0);
        assert_eq!(node.state()["has_left_monitor"], false);
    }
    one.run(&format!("enable monitor {uri}")).succeeds();
    one.run("enable monitor postgres://other@127.0.0.1:1/x").refuses(2, "disable monitor");
    one.run("do fsm assign single").refuses(3, "disable monitor");

    one.run("disable monitor").refuses(3, "could promote node 2 \"n2\"");
    two.run("disable monitor").succeeds();
    one.run("disable monitor").succeeds();
    assert_eq!(server.ask("SELECT count(*) FROM pgautofailover.node"), "0\n");
    one.run("disable monitor").succeeds();
    one.sql("CREATE TABLE u ()");
    assert_eq!([one.postmaster(), two.postmaster()], postmasters, "Postgres was restarted");
    assert_eq!(one.sql("SHOW synchronous_standby_names"), "ANY 1 (pgautofailover_standby_2)");
}

#[test]
fn a_monitor_that_is_lost_is_left_by_force() {
    let bed = Bed::new();
    let node = Node::start(&bed, 1, "n1");
    node.assign("single");
    let server = Server::start(&bed).play_monitor("3.0");
    server.change(include_str!("registry.sql"));
    node.run(&format!("enable monitor {}", server.uri())).succeeds();
    let postmaster = node.postmaster();
    drop(server);
    node.run("disable monitor").refuses(6, "give --force");
    assert!(node.run("config get pg_autoctl.monitor").succeeds().starts_with("postgres://"));
    node.run("disable monitor --force").succeeds();
    assert_eq!(node.state()["has_left_monitor"], true);
    node.sql("CREATE TABLE t ()");
    assert_eq!(node.postmaster(), postmaster);
    node.run("drop node --destroy").succeeds();
    assert!(!bed.path("n1").exists());
}

#[test]
fn a_standby_takes_over_and_a_stopped_primary_needs_it() {
    let bed = Bed::new();
    let [one, two] = pair(&bed);
    // As when the power fails: the keeper starts it, and its standby lets clients in.
    let postmaster = one.postmaster();
    kill(Pid::from_raw(postmaster.parse().expect("a pid")), Signal::SIGQUIT).expect("signalled");
    let answers = || psql(&bed, one.port, "SELECT 1").output().is_ok_and(|output| output.status.success());
    one.until("another server", || {
        std::fs::read_to_string(bed.path("n1/postmaster.pid"))
            .is_ok_and(|content| content.lines().next().is_some_and(|pid| pid != postmaster))
    });
    one.until("clients", answers);
    one.assign("demoted");
    two.assign("wait_primary");
    two.sql("CREATE TABLE t ()");
    assert_eq!(two.sql("SELECT pg_is_in_recovery()"), "f");
}

#[test]
fn steps_are_made_one_by_one_without_a_keeper() {
    let bed = Bed::new();
    let create = |options: &str| {
        bed.run(format!(
            "create postgres --disable-monitor --pgdata x --pgport {} --hostname 127.0.0.1 --no-ssl {options} --pgctl {}",
            free_port(),
            bin_dir().join("pg_ctl").display()
        ))
    };
    create("").refuses(1, "--node-id");
    create("--node-id 0").refuses(1, "--node-id");
    create("--node-id 7").succeeds();
    create("--node-id 7").succeeds();
    let run = |command: &str| bed.run_with(format!("{command} --pgdata x"), &[("PG_AUTOCTL_DEBUG", "1")]);
    run("do fsm assign nonsense").refuses(1, "nonsense");
    run("do fsm step").refuses(3, "nothing is assigned");
    run("do fsm nodes set /no/such/file").refuses(2, "/no/such/file");
    run("do fsm assign single").succeeds();
    let role = || -> Value {
        let shown: Value = serde_json::from_str(&run("do fsm state").succeeds()).expect("JSON");
        assert_eq!(shown["state"]["nodeId"], 7);
        shown["state"]["current_role"].clone()
    };
    assert_eq!(role(), "init");
    let begin = Instant::now();
    while role() != "single" {
        assert!(begin.elapsed() < DEADLINE, "it does not become single");
        run("do fsm step").succeeds();
    }
    run("do pgsetup ready").succeeds();
    run("drop node --destroy").succeeds();
}
