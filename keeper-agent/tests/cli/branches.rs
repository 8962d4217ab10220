//! Branches of the log, what groups wait for, and what only a person decides.

use crate::bed::Bed;
use crate::server::Server;

fn monitor(bed: &Bed) -> Server<'_> {
    let server = Server::start(bed).play_monitor("3.0");
    server.change(include_str!("branches.sql"));
    server
}

#[test]
fn branches_are_shown_and_accepted() {
    let bed = Bed::new();
    let server = monitor(&bed);
    let run = |command: &str| bed.run(format!("{command} --monitor {}", server.uri()));

    assert_eq!(run("show timeline --group 0").succeeds(), TIMELINES);
    let json: serde_json::Value =
        serde_json::from_str(&run("show timeline --group 0 --json").succeeds()).expect("JSON");
    assert_eq!(json["timelines"][1]["fork_lsn"], "0/3000000");
    assert_eq!(json["timelines"][1]["first_seen"], "2026-11-23T14:34:11.5+00:00");
    assert_eq!(json["timelines"][2]["is_rejected"], true);
    assert_eq!(json["nodes"][1]["branch"], "behind");
    assert_eq!(json["nodes"][1]["bytes_behind"], 0x4_19F0);
    assert_eq!(json["nodes"][2]["branch"], "forked");

    let accepted = run("accept timeline 2 --group 0");
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    for words in ["node 1 \"n1\" stays the primary", "only node 3 \"n3\" has on timeline 3", "show state"] {
        assert!(accepted.stderr.contains(words), "\"{words}\" is not in: {}", accepted.stderr);
    }
    let known = run("accept timeline 1 --group 0");
    assert!(known.code == 0 && known.stderr.contains("nothing had to change"), "{}", known.stderr);
    run("accept timeline 9 --group 0").refuses(6, "is on timeline 9 (Look at the timelines.)");
    run("accept timeline 0 --group 0").refuses(1, "0");
    run("accept timeline").refuses(1, "TIMELINE");
}

#[test]
fn what_is_waited_for_is_shown() {
    let bed = Bed::new();
    let server = monitor(&bed);
    let run = |command: &str| bed.run(format!("{command} --monitor {}", server.uri()));
    let shown = run("show state --group 0").succeeds();
    let (_, remarks) = shown.split_once("\n\n").expect("an empty line");
    assert_eq!(remarks, "node 2 \"n2\": copying, 42 %\ngroup 0 waits until node 3 is back\n\n");
    let json: serde_json::Value =
        serde_json::from_str(&run("show state --group 0 --json").succeeds()).expect("JSON");
    assert_eq!(json[1]["progress"], "copying, 42 %");
    assert_eq!(json[0].get("progress"), None);
    assert_eq!(json[0]["waits_for"], "group 0 waits until node 3 is back");
}

#[test]
fn a_failover_is_refused_with_a_hint_or_done_with_a_warning() {
    let bed = Bed::new();
    let server = monitor(&bed);
    let perform = |options: &str| bed.run(format!("perform failover --monitor {} {options}", server.uri()));
    perform("--group 0").refuses(6, "no standby can be promoted (Wait for one.)");
    let done = perform("--group 0 --allow-data-loss --wait 0");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let warning = "bob allowed to lose commits that only node 1 \"n1\" (h:5432) may have";
    assert!(done.stderr.contains(warning) && done.stderr.contains("WARN"), "{}", done.stderr);
    server.change("UPDATE pgautofailover.node SET goalstate = 'report_lsn' WHERE nodeid = 1");
    perform("--group 0 --allow-data-loss --wait 0").refuses(12, "group 0 waits until node 3 is back; node 1");
}

const TIMELINES: &str = "\
Timeline | Parent |   Fork LSN |                    First Seen | By Node | Nodes | Branch
---------+--------+------------+-------------------------------+---------+-------+---------
       1 |        |            |        2026-11-23 13:34:11+00 |       1 |     2 | 
       2 |      1 |  0/3000000 |      2026-11-23 14:34:11.5+00 |       1 |     1 | 
       3 |      1 |  0/2000000 |        2026-11-23 15:34:11+00 |       3 |     3 | rejected

Name |  Node |       TLI: LSN | Branch
-----+-------+----------------+---------------------
  n1 |     1 |   2: 0/30419F0 | primary
  n2 |     2 |   1: 0/3000000 | behind the primary by 268784 bytes
  n3 |     3 |   3: 0/3000100 | forked from the primary

";
