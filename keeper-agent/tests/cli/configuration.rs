//! `config …`, and the files of a node.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::bed::Bed;

/// As `create postgres` writes it.
fn node(bed: &Bed) -> String {
    format!(
        "[pg_autoctl]\nrole = keeper\nmonitor = postgres://autoctl_node:secret@127.0.0.1:1/pg_auto_failover\n\
         formation = default\ngroup = 0\nname = n1\nhostname = h\n\n\
         [postgresql]\npgdata = {}\npg_ctl = /bin/true\nport = 5999\n",
        bed.path("pg").display()
    )
}

#[test]
fn settings_are_shown_set_and_checked() {
    let bed = Bed::new();
    let file = bed.config_file("pg");
    bed.write(&file, &node(&bed));
    let config = |arguments: &str| bed.run(format!("config {arguments} --pgdata pg"));

    assert_eq!(config("get postgresql.port").succeeds(), "5999\n");
    assert_eq!(config("get ssl.sslmode").succeeds(), "prefer\n");
    assert_eq!(config("get replication.password").succeeds(), "\n");
    assert_eq!(config("set timeout.network_partition_timeout 2500ms").succeeds(), "2500ms\n");
    assert_eq!(config("get timeout.network_partition_timeout").succeeds(), "2500ms\n");
    let mode = file.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let json: serde_json::Value = serde_json::from_str(&config("get --json").succeeds()).expect("JSON");
    assert_eq!(json["pg_autoctl"]["name"], "n1");

    config("get postgresql.colour").refuses(1, "there is no setting");
    config("set postgresql.hba_level everything").refuses(2, "none, minimal, lan");
    config("set pg_autoctl.group 3").refuses(2, "was fixed when the node was made");
    config("check").refuses(2, "there is no cluster");
}

#[test]
fn passwords_go_in_and_never_come_out() {
    let bed = Bed::new();
    let file = bed.config_file("pg");
    bed.write(&file, &node(&bed));
    bed.run("config set replication.password secret --pgdata pg").succeeds();
    assert!(std::fs::read_to_string(&file).expect("read").contains("password = secret\n"));
    for command in [
        "config get",
        "config get --json",
        "config get replication.password",
        "config get pg_autoctl.monitor",
        "show file --config --contents",
        "show uri --monitor postgres://autoctl_node:secret@127.0.0.1:1/d --formation monitor",
        "config set replication.maximum_backup_rate 10M",
    ] {
        let ended = bed.run(format!("{command} --pgdata pg"));
        assert!(!ended.stdout.contains("secret") && !ended.stderr.contains("secret"), "{command}");
        ended.succeeds();
    }
    // Who may read the file, and asks for this alone, is shown it.
    let uri = bed.run("show uri --monitor --pgdata pg").succeeds();
    assert!(uri.starts_with("postgres://autoctl_node:secret@"), "{uri}");
}

#[test]
fn a_misspelt_configuration_is_named() {
    let bed = Bed::new();
    let file = bed.config_file("pg");
    bed.write(&file, &node(&bed).replace("hostname", "hostnaem"));
    bed.run("config get --pgdata pg").refuses(2, "pg_autoctl.hostnaem");
    bed.write(&file, &node(&bed).replace("5999", "many"));
    bed.run("config get --pgdata pg").refuses(2, "postgresql.port: \"many\" is not a port");
    bed.write(&file, "nonsense");
    bed.run("config get --pgdata pg").refuses(2, "pg_autoctl.cfg");
}

#[test]
fn a_damaged_state_is_never_replaced() {
    let bed = Bed::new();
    bed.write(&bed.config_file("pg"), &node(&bed));
    bed.run("show state --local --pgdata pg").refuses(3, "is not registered");
    let state = bed.run("show file --state --pgdata pg").succeeds();
    let state = std::path::Path::new(state.trim());
    bed.write(state, "{\"version\": 1, \"nod");
    bed.run("show state --local --pgdata pg").refuses(3, "is damaged");
    if nix::unistd::geteuid().is_root() {
        // The file is not the user's to read.
        let mut file = std::fs::File::create(state).expect("opened");
        file.write_all(b"{}").expect("written");
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o000)).expect("closed");
        bed.run("run --pgdata pg").refuses(3, "state file");
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o600)).expect("opened");
    } else {
        bed.run("run --pgdata pg").refuses(3, "state file");
    }
    assert!(state.exists());
}
