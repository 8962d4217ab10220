//! What the show commands print.

use crate::bed::Bed;
use crate::server::Server;

#[test]
fn a_monitor_is_shown_as_scripts_expect_it() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor("3.0");
    let show = |what: &str| bed.run(format!("show {what} --monitor {}", server.uri())).succeeds();

    assert_eq!(show("state"), STATE);
    assert_eq!(show("state --json"), STATE_JSON);
    assert_eq!(show("events --count 1"), EVENTS);
    assert_eq!(show("events --count 1 --json"), EVENTS_JSON);
    assert_eq!(show("settings"), SETTINGS);
    assert_eq!(show("settings --json"), SETTINGS_JSON);
    assert_eq!(show("standby-names"), "'ANY 1 (pgautofailover_standby_2)'\n");
    let formation =
        "postgres://192.0.2.2:5432,192.0.2.3:5432/postgres?target_session_attrs=read-write&sslmode=prefer";
    assert_eq!(show("uri --formation default"), format!("{formation}\n"));
    let monitor = format!("postgres://autoctl_node:****@127.0.0.1:{}/pg_auto_failover", server.port);
    let expected = format!(
        "        Type |    Name | Connection String\n\
         -------------+---------+-------------------------------\n     \
         monitor | monitor | {monitor}\n   \
         formation | default | {formation}\n\n"
    );
    assert_eq!(show("uri"), expected);
    let expected = format!(
        "[\n    {{\n        \"uri\": \"{monitor}\",\n        \"name\": \"monitor\",\n        \"type\": \"monitor\"\n    }},\n    \
         {{\n        \"uri\": \"{formation}\",\n        \"name\": \"default\",\n        \"type\": \"formation\"\n    }}\n]\n"
    );
    assert_eq!(show("uri --json"), expected);
}

#[test]
fn versions_and_help_are_no_errors() {
    let bed = Bed::new();
    let version = bed.run("--version").succeeds();
    assert!(version.starts_with("pg_autoctl version 3."), "{version}");
    let json: serde_json::Value = serde_json::from_str(&bed.run("version --json").succeeds()).expect("JSON");
    for key in ["pg_autoctl", "pgautofailover", "pg_major", "pg_version", "pg_version_str", "pg_version_num"]
    {
        assert!(json.get(key).is_some(), "{key} is not in {json}");
    }
    assert!(bed.run("help create postgres").succeeds().contains("--candidate-priority"));
    assert!(bed.run("create postgres --help").succeeds().contains("--pg-hba-lan"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.run(format!("completions {shell}")).succeeds().contains("standby-names"), "{shell}");
    }
}

#[test]
fn debugging_commands_are_for_those_who_ask() {
    let bed = Bed::new();
    assert!(!bed.run("help").succeeds().contains("For debugging"));
    assert!(bed.run_with("help", &[("PG_AUTOCTL_DEBUG", "1")]).succeeds().contains("For debugging"));
    bed.run("do pgsetup ready --pgdata x").refuses(1, "PG_AUTOCTL_DEBUG");
}

#[test]
fn files_are_where_scripts_look_for_them() {
    let bed = Bed::new();
    let home = bed.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let shown = bed.run("show file --pgdata pg").succeeds();
    let files: Vec<&str> =
        shown.lines().skip(2).filter_map(|line| line.split_once(" | ")).map(|it| it.1).collect();
    let expected = [
        format!("{home}/.config/pg_autoctl{home}/pg/pg_autoctl.cfg"),
        format!("{home}/.local/share/pg_autoctl{home}/pg/pg_autoctl.state"),
        format!("{home}/.local/share/pg_autoctl{home}/pg/pg_autoctl.init"),
        format!("{home}/run/pg_autoctl{home}/pg/pg_autoctl.pid"),
    ];
    assert_eq!(files, expected);
    assert_eq!(bed.run("show file --pid --pgdata pg").succeeds(), format!("{}\n", expected[3]));
}

const STATE: &str = "\
Name |  Node |      Host:Port |       TLI: LSN |   Connection |      Reported State |      Assigned State
-----+-------+----------------+----------------+--------------+---------------------+--------------------
  n1 |     1 | 192.0.2.2:5432 |   1: 0/30419F0 |   read-write |             primary |             primary
  n2 |     2 | 192.0.2.3:5432 |   1: 0/304EC80 |    read-only |           secondary |           secondary

";

const STATE_JSON: &str = r#"[
    {
        "health": 1,
        "node_id": 1,
        "group_id": 0,
        "nodehost": "192.0.2.2",
        "nodename": "n1",
        "nodeport": 5432,
        "nodecluster": "default",
        "reported_lsn": "0/30419F0",
        "reported_tli": 1,
        "formation_kind": "pgsql",
        "candidate_priority": 50,
        "replication_quorum": true,
        "current_group_state": "primary",
        "assigned_group_state": "primary"
    },
    {
        "health": 1,
        "node_id": 2,
        "group_id": 0,
        "nodehost": "192.0.2.3",
        "nodename": "n2",
        "nodeport": 5432,
        "nodecluster": "default",
        "reported_lsn": "0/304EC80",
        "reported_tli": 1,
        "formation_kind": "pgsql",
        "candidate_priority": 50,
        "replication_quorum": true,
        "current_group_state": "secondary",
        "assigned_group_state": "secondary"
    }
]
"#;

const EVENTS: &str = "                    \
Event Time |   Node |       Current State |      Assigned State | Comment
-------------------------------+--------+---------------------+---------------------+-----------
  2026-11-23 13:34:11.56265+00 |    0/1 |             primary |             primary | New state is reported by node 1 \"n1\" (192.0.2.2:5432): \"primary\"

";

const EVENTS_JSON: &str = r#"[
    {
        "nodeid": 1,
        "eventid": 14,
        "groupid": 0,
        "nodehost": "192.0.2.2",
        "nodename": "n1",
        "nodeport": 5432,
        "eventtime": "2026-11-23T13:34:11.56265+00:00",
        "goalstate": "primary",
        "description": "New state is reported by node 1 \"n1\" (192.0.2.2:5432): \"primary\"",
        "formationid": "default",
        "reportedlsn": "0/30000D8",
        "reportedtli": 1,
        "reportedstate": "primary",
        "reportedrepstate": "quorum",
        "candidatepriority": 50,
        "replicationquorum": true
    }
]
"#;

const SETTINGS: &str = concat!(
    "  Context |    Name |                   Setting | Value                             \n",
    "----------+---------+---------------------------+-----------------------------------\n",
    "formation | default |      number_sync_standbys | 0                                 \n",
    "  primary |      n1 | synchronous_standby_names | 'ANY 1 (pgautofailover_standby_2)'\n",
    "     node |      n1 |        candidate priority | 50                                \n",
    "     node |      n1 |        replication quorum | true                              \n\n",
);

const SETTINGS_JSON: &str = r#"{
    "nodes": [
        {
            "value": "true",
            "context": "node",
            "node_id": 1,
            "setting": "replication quorum",
            "group_id": 0,
            "nodename": "n1"
        },
        {
            "value": "50",
            "context": "node",
            "node_id": 1,
            "setting": "candidate priority",
            "group_id": 0,
            "nodename": "n1"
        }
    ],
    "primary": [
        {
            "value": "'ANY 1 (pgautofailover_standby_2)'",
            "context": "primary",
            "node_id": 1,
            "setting": "synchronous_standby_names",
            "group_id": 0,
            "nodename": "n1"
        }
    ],
    "formation": [
        {
            "value": "0",
            "context": "formation",
            "node_id": null,
            "setting": "number_sync_standbys",
            "group_id": null,
            "nodename": "default"
        }
    ]
}
"#;
