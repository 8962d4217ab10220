//! What cannot be done is refused with one sentence and the right exit code, and nothing is made.

use std::net::TcpListener;

use crate::bed::{Bed, free_port};
use crate::server::Server;

/// A monitor that nobody runs; never asked by what is refused earlier.
const NOBODY: &str = "postgres://autoctl_node:secret@127.0.0.1:1/pg_auto_failover";

#[track_caller]
fn nothing_is_made(bed: &Bed, pgdata: &str) {
    assert!(!bed.path(pgdata).exists(), "PGDATA was made");
    assert!(!bed.config_file(pgdata).exists(), "a configuration was written");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let bed = Bed::new();
    for (arguments, words) in [
        ("--nonsense", "--nonsense"),
        ("nonsense", "nonsense"),
        ("create postgres --nonsense", "--nonsense"),
        ("create postgres --pgdata x --pgport 0", "--pgport"),
        ("create postgres --pgdata x --candidate-priority 101", "--candidate-priority"),
        ("create postgres --pgdata x --auth kerberos", "trust, md5, scram-sha-256"),
        ("create postgres --pgdata x --server-key k --no-ssl", "--server-cert"),
        ("create postgres --no-ssl", "--pgdata"),
        ("create postgres --no-ssl --pgdata x", "--monitor"),
        ("create postgres --no-ssl --pgdata x --monitor nonsense", "neither a URI"),
        ("create postgres --no-ssl --pgdata x --monitor postgres://u:secret@h:p/d", "1 to 65535"),
        ("create monitor --pgdata x --ssl-ca-file no-ca.crt", "no-ca.crt"),
        ("create monitor --pgdata x --ssl-self-signed --ssl-mode verify-full", "cannot be verified"),
        ("create monitor --pgdata x --no-ssl --ssl-mode require", "contradict"),
        ("create monitor --pgdata x --server-cert no.crt --server-key no.key", "no.crt"),
        ("create monitor --pgdata x --no-ssl --pgctl no/pg_ctl", "no/pg_ctl"),
        ("show state", "--monitor"),
        ("show events --count 0", "--count"),
        ("stop", "--pgdata"),
        ("stop --fast --immediate --pgdata x", "--immediate"),
        ("set node candidate-priority --name n 200", "200"),
    ] {
        let ended = bed.run(arguments);
        ended.refuses(1, words);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
        nothing_is_made(&bed, "x");
    }
}

#[test]
fn coordinators_and_workers_that_cannot_be() {
    let bed = Bed::new();
    let create = |arguments: &str| bed.run(format!("create {arguments} --no-ssl --pgdata x"));
    create("coordinator --group 2").refuses(1, "the coordinator of a formation is in group 0");
    create("worker --group 0").refuses(1, "group 0 is that of the coordinator");
    create("worker --citus-secondary").refuses(1, "--citus-cluster");
    create("worker --citus-cluster reports").refuses(1, "--citus-secondary");
    let reader = "worker --citus-secondary --citus-cluster";
    create(&format!("{reader} default")).refuses(1, "needs a name of its own");
    create(&format!("{reader} reports --candidate-priority 70")).refuses(1, "never promoted");
    bed.run("activate --pgdata x").refuses(2, "x");
    nothing_is_made(&bed, "x");
}

#[test]
fn root_makes_and_runs_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bed = Bed::new();
    for command in ["create monitor --no-ssl", "create postgres --no-ssl", "run", "drop monitor"] {
        bed.run_as_is(format!("{command} --pgdata x")).refuses(1, "as root");
    }
    nothing_is_made(&bed, "x");
}

#[test]
fn a_data_directory_that_is_not_ours() {
    let bed = Bed::new();
    let create =
        |pgdata: &str| bed.run(format!("create monitor --no-ssl --pgport {} --pgdata {pgdata}", free_port()));
    if nix::unistd::geteuid().is_root() {
        create("/etc").refuses(2, "belongs to user \"root\"");
        create("/no-such-directory/x").refuses(2, "does not let us");
    }
    bed.write(&bed.path("full/file"), "");
    create("full").refuses(2, "no Postgres cluster");
    create("full/file").refuses(2, "not a directory");
    assert!(bed.path("full/file").exists());
}

#[test]
fn a_port_in_use_and_a_name_that_does_not_resolve() {
    let bed = Bed::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    bed.run(format!("create monitor --no-ssl --pgdata x --pgport {port}")).refuses(2, "in use");
    let port = free_port();
    bed.run(format!("create monitor --no-ssl --pgdata x --pgport {port} --hostname no-such-host.invalid"))
        .refuses(2, "does not resolve");
    nothing_is_made(&bed, "x");
}

#[test]
fn a_node_that_is_not_there() {
    let bed = Bed::new();
    for command in [
        "run",
        "status",
        "config get",
        "show state",
        "drop node",
        "show systemd",
        "disable monitor",
        "enable monitor postgres://h/d",
    ] {
        bed.run(format!("{command} --pgdata x")).refuses(2, "has no configuration file");
    }
    bed.run("stop --pgdata x").refuses(12, "no pg_autoctl runs");
    bed.run("reload --pgdata x").refuses(9, "has no configuration file");
}

#[test]
fn a_monitor_that_does_not_answer() {
    let bed = Bed::new();
    let ended = bed.run(format!("show state --monitor {NOBODY}"));
    ended.refuses(6, "check that the monitor runs");
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    let create = format!("create postgres --no-ssl --hostname localhost --pgport {} --pgdata x", free_port());
    let ended = bed.run(format!("{create} --monitor {NOBODY}"));
    ended.refuses(6, "check that the monitor runs");
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    nothing_is_made(&bed, "x");
}

#[test]
fn a_message_that_cannot_be_written_ends_nothing() {
    assert_eq!(Bed::new().run_without_messages(format!("show state --monitor {NOBODY}")), 6);
}

#[test]
fn a_server_that_is_no_monitor_of_ours() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let show = |uri: &str| bed.run(format!("show state --monitor {uri}"));
    let uri = server.uri();
    show(&uri).refuses(13, "does not have the extension");
    let wrong = show(&uri.replace("right", "wrong"));
    wrong.refuses(6, "give the right password");
    assert!(!wrong.stderr.contains("wrong@"), "{}", wrong.stderr);
    show(&uri.replace(":right", "")).refuses(2, "asks for a password");
    show(&uri.replace("pg_auto_failover", "nothing")).refuses(6, "database of the monitor");
    show(&format!("{uri}?sslmode=require")).refuses(6, "TLS");
    show(&format!("{uri}?sslmode=verify-full&sslrootcert=/no/root.crt")).refuses(2, "/no/root.crt");
    show(&format!("{uri}?sslmode=allow")).refuses(13, "does not have the extension");

    let _server = server.play_monitor("2.2");
    show(&uri).refuses(6, "has extension pgautofailover 2.2, this program needs 3.0");
    let create = format!("create postgres --no-ssl --hostname localhost --pgport {} --pgdata x", free_port());
    bed.run(format!("{create} --monitor {uri}")).refuses(6, "2.2");
    nothing_is_made(&bed, "x");
}
