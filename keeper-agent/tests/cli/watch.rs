//! The dashboard, in a terminal.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::Bed;
use crate::server::Server;
use crate::terminal::Terminal;

const EIGHTY: [u16; 2] = [80, 24];

fn watch(bed: &Bed, server: &Server<'_>) -> Terminal {
    let terminal = Terminal::run(bed, format!("watch --monitor {}", server.uri()), EIGHTY);
    terminal.wait_for("secondary");
    terminal
}

/// As the monitor does it: the row, and the notification.
fn assign(server: &Server<'_>, goal: &str) {
    let payload = format!(
        r#"{{"type": "state", "formation": "default", "groupId": 0, "nodeId": 2, "name": "n2", "host": "192.0.2.3",
        "port": 5432, "reportedState": "secondary", "goalState": "{goal}", "health": "good"}}"#
    );
    server.change(format!(
        "UPDATE pgautofailover.node SET goalstate = '{goal}' WHERE nodeid = 2; SELECT pg_notify('state', '{payload}')"
    ));
}

/// Processes that do nothing for a while.
struct Frozen(Vec<Pid>);

impl Frozen {
    fn new(processes: Vec<Pid>) -> Self {
        let frozen = Self(processes);
        frozen.send(Signal::SIGSTOP);
        frozen
    }

    fn send(&self, signal: Signal) {
        for process in &self.0 {
            // A backend may have ended by itself.
            let _ = kill(*process, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send(Signal::SIGCONT);
    }
}

#[test]
fn nodes_and_events_are_shown() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    let shown = terminal.wait_for("New state is reported by node 1");
    assert!(shown.contains("\nn1       1           read-write    primary             primary "), "{shown}");
    assert!(shown.contains("\nn2       2      0 B  read-only     secondary           secondary "), "{shown}");
    terminal.press("q");
    let left = terminal.end();
    assert_eq!((left.code, left.text.trim()), (Some(0), ""));
}

#[test]
fn a_change_shows_as_soon_as_it_is_told() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    let changes: [(&str, &dyn Fn()); 4] = [
        ("prepare_promotion", &|| assign(&server, "prepare_promotion")),
        ("wait_maintenance", &|| assign(&server, "wait_maintenance")),
        ("report_lsn", &|| assign(&server, "report_lsn")),
        ("something else", &|| {
            server.change(
                "INSERT INTO pgautofailover.event SELECT (jsonb_populate_record(e, \
                 '{\"eventid\": 15, \"description\": \"something else\"}')).* FROM pgautofailover.event AS e; \
                 SELECT pg_notify('log', 'something else')",
            );
        }),
    ];
    // Each change comes right after a look: without notifications, every one would take almost a second to be seen. On a
    // machine that is busy with something else, not every one need be quick.
    let quickest = changes.map(|(words, change)| {
        change();
        let begin = Instant::now();
        terminal.wait_for(words);
        begin.elapsed()
    });
    let quickest = quickest.into_iter().min().expect("there are some");
    assert!(quickest < Duration::from_millis(400), "{quickest:?}");
}

#[test]
fn a_position_moves_without_being_told() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    server.change("UPDATE pgautofailover.node SET reportedlsn = '0/404EC80' WHERE nodeid = 1");
    terminal.wait_for("16 MB");
}

#[test]
fn a_monitor_may_go_away_and_come_back() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    server.halt();
    let shown = terminal.wait_for("monitor unreachable since");
    assert!(shown.contains("n1") && shown.contains("New state is reported"), "{shown}");
    server.go_on();
    terminal.wait_without("unreachable");
    assign(&server, "maintenance");
    terminal.wait_for("maintenance");
    terminal.press("\u{3}");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn a_monitor_may_be_silent() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    let frozen = Frozen::new(server.processes());
    terminal.wait_for("no answer within");
    // An attempt to connect gets no answer either, and ends.
    terminal.wait_for(": connecting to 127.0.0.1");
    drop(frozen);
    terminal.wait_without("unreachable");
    // Keys are heard while nothing is.
    let _frozen = Frozen::new(server.processes());
    terminal.wait_for("unreachable");
    terminal.press("\u{1b}");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn one_formation_after_the_other() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    server.change(
        "INSERT INTO pgautofailover.formation VALUES ('payments', 1); \
         INSERT INTO pgautofailover.node (formationid, nodeid, nodename, nodehost, goalstate, reportedstate, reportedlsn) \
         VALUES ('payments', 3, 'p1', '192.0.2.4', 'single', 'single', '0/3000000')",
    );
    let terminal = watch(&bed, &server);
    terminal.press("\t");
    let shown = terminal.wait_for("single");
    assert!(shown.contains("p1") && !shown.contains("n1") && !shown.contains("New state"), "{shown}");
    assert!(shown.contains("number_sync_standbys 1"), "{shown}");
    terminal.press("\u{1b}[D");
    terminal.wait_for("secondary");
    server.change("DELETE FROM pgautofailover.formation WHERE formationid = 'default'");
    terminal.wait_for("formation \"default\" does not exist any more");
    terminal.press("\u{1b}[C");
    terminal.wait_for("single");
    // Without being told which, any that is there.
    Terminal::run(&bed, format!("watch --monitor {}", server.uri()), EIGHTY).wait_for("single");
}

#[test]
fn terminals_of_any_size() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let terminal = watch(&bed, &server);
    terminal.resize([130, 40]);
    terminal.wait_for("Host:Port");
    terminal.resize([1, 1]);
    terminal.resize([40, 10]);
    let shown = terminal.wait_for("Reported State");
    assert!(!shown.contains("Connection"), "{shown}");
    terminal.press("q");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn signals_give_the_terminal_back() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        let terminal = watch(&bed, &server);
        terminal.signal(signal);
        assert_eq!(terminal.end().code, Some(0), "{signal}");
    }
}

#[test]
fn show_with_watch_is_the_dashboard_too() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    for command in ["show state", "show events"] {
        let terminal = Terminal::run(&bed, format!("{command} --watch --monitor {}", server.uri()), EIGHTY);
        terminal.wait_until(command, |screen| screen.alternate_screen() && screen.contents().contains("n2"));
        terminal.press("q");
        assert_eq!(terminal.end().code, Some(0));
    }
}

#[test]
fn what_cannot_be_shown() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let uri = server.uri();
    bed.run(format!("watch --monitor {uri}")).refuses(1, "needs a terminal");
    for (arguments, code, words) in [
        (format!("watch --monitor {uri} --formation nothing"), 6, "the monitor has \"default\""),
        (format!("watch --monitor {}", uri.replace("right", "wrong")), 6, "give the right password"),
        ("watch --monitor postgres://127.0.0.1:1/d".to_owned(), 6, "check that the monitor runs"),
        ("watch".to_owned(), 1, "--monitor"),
    ] {
        let left = Terminal::run(&bed, arguments, [200, 24]).end();
        assert_eq!(left.code, Some(code), "{}", left.text);
        assert!(left.text.contains(words), "{}", left.text);
    }
}
