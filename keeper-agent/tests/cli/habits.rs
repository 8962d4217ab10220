//! What scripts written for pg_auto_failover 2.2 do: short options, abbreviations, booleans, exit codes, configuration
//! files.

use crate::bed::{Bed, free_port};
use crate::server::Server;

/// A monitor that nobody runs.
const NOBODY: &str = "postgres://autoctl_node@127.0.0.1:1/pg_auto_failover";

#[test]
fn every_command_takes_the_short_options_of_2_2() {
    let bed = Bed::new();
    let create = "create postgres -D x -H /tmp -p 5999 -l * -U me -A trust -S -L -d app -a n1 -n localhost -f default \
                  -P 50 -r true -R 10M -x -s -m";
    // The monitor is asked, so everything before was understood.
    let unreachable = |arguments: String| {
        let ended = bed.run(&arguments);
        assert_eq!(ended.code, 6, "{arguments}: {}", ended.stderr);
    };
    bed.run(format!("{create} nonsense")).refuses(1, "neither a URI");
    bed.run("create postgres -D x -M -N -x -n localhost").refuses(1, "--node-id");
    bed.run("create worker -D x -N -y 6000 -z -Z reports -g 0 -m x").refuses(1, "group 0");
    bed.run("create monitor -C no/pg_ctl -D x -p 5999 -n localhost -l 127.0.0.1 -A md5 -S -N -x")
        .refuses(1, "no/pg_ctl");
    unreachable(format!("create formation -m {NOBODY} -f f -k pgsql -d app -s -n 1"));
    unreachable(format!("drop formation -m {NOBODY} -f f"));
    unreachable(format!("drop node -m {NOBODY} -f f -a n1 -F -w 1"));
    unreachable(format!("drop node -m {NOBODY} -f f -n h -p 5432"));
    unreachable(format!("show state -m {NOBODY} -f f -g 0 -J"));
    unreachable(format!("show events -m {NOBODY} -f f -g 0 -n 5 -J"));
    unreachable(format!("show settings -m {NOBODY} -f f -J"));
    unreachable(format!("show standby-names -m {NOBODY} -f f -g 0 -J"));
    unreachable(format!("show uri -m {NOBODY} -f f -Z reports -J"));
    unreachable(format!("get node candidate-priority -m {NOBODY} -f f -a n1 -J"));
    unreachable(format!("set node candidate-priority -m {NOBODY} -f f -a n1 50 -J"));
    unreachable(format!("set formation number-sync-standbys -m {NOBODY} -f f -J 1"));
    unreachable(format!("perform failover -m {NOBODY} -f f -g 0 -w 1 -J"));
    unreachable(format!("perform promotion -m {NOBODY} -f f -a n1 -w 1 -J"));
    for command in [
        "run -D x -n n2 -H h -p 5999",
        "set node metadata -D x -n n2 -H h -p 5999 -J",
        "enable maintenance -D x -f f -A",
        "disable maintenance -D x -f f",
        "enable secondary -D x -f f",
        "enable ssl -D x -s",
        "disable monitor -D x -F",
        "enable monitor -D x -A postgres://h/d",
        "status -D x -J",
        "config check -D x -J",
        "show state -D x -L",
    ] {
        bed.run(command).refuses(2, "has no configuration file");
    }
    bed.run("stop -D x -f").refuses(12, "no pg_autoctl runs");
    bed.run("stop -D x -i").refuses(12, "no pg_autoctl runs");
    for file in ["-c", "-s", "-i", "-p", "-a"] {
        bed.run(format!("show file -D x {file}")).succeeds();
    }
}

#[test]
fn long_options_may_be_abbreviated_and_commands_may_not() {
    let bed = Bed::new();
    let ended = bed.run(format!("show state --mon {NOBODY} --form f --gr 0 --js"));
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    bed.run("create postgres --pgd x --no-s --pgp 5999 --disable-m --host localhost").refuses(1, "--node-id");
    // --pgdata, --pgport, --pghost, --pgctl: which one?
    bed.run("create postgres --pg x").refuses(1, "--pg");
    bed.run("sho state").refuses(1, "sho");
}

#[test]
fn the_version_is_an_option_of_each_command() {
    let bed = Bed::new();
    for command in
        ["", "show", "show state", "create postgres", "drop formation", "config set", "perform promotion"]
    {
        for option in ["--version", "-V"] {
            let said = bed.run(format!("{command} {option}")).succeeds();
            assert!(said.starts_with("pg_autoctl version 3."), "{command} {option}: {said}");
        }
    }
    for command in ["--json --version", "-J -V", "--version --json", "show --json state --version"] {
        let json: serde_json::Value = serde_json::from_str(&bed.run(command).succeeds()).expect("JSON");
        assert!(json["pgautofailover"].is_string(), "{command}");
    }
}

#[test]
fn json_may_be_asked_for_before_the_command() {
    let bed = Bed::new();
    for command in [
        "--json version",
        "version --json",
        "--json show file -D x",
        "show --json file -D x",
        "show file -D x --json",
    ] {
        let said = bed.run(command).succeeds();
        let json: Result<serde_json::Value, _> = serde_json::from_str(&said);
        assert!(json.is_ok(), "{command}: {said}");
    }
    let files: serde_json::Value =
        serde_json::from_str(&bed.run("show file -D x --json").succeeds()).expect("JSON");
    for key in ["config", "state", "init", "pid"] {
        assert!(files[key].is_string(), "{files}");
    }
}

#[test]
fn booleans_of_the_environment_may_be_spelt_in_any_way() {
    let bed = Bed::new();
    let create = |environment: &[(&str, &str)]| {
        bed.run_with(
            "create postgres --disable-monitor --node-id 1 --hostname localhost --pgdata x --run --no-ssl",
            environment,
        )
    };
    for value in ["true", "yes", "ON", "1", "T", "y", "false", "No", "off", "0", "f", "n", ""] {
        for name in ["PG_AUTOCTL_HBA_LAN", "PG_AUTOCTL_PG_HBA_LAN", "PG_AUTOCTL_REPLICATION_QUORUM"] {
            // The port is checked last, and is none.
            let ended = create(&[(name, value), ("PGPORT", "0")]);
            ended.refuses(1, "--pgport");
        }
        let ended = bed.run_with(
            "create monitor --pgdata x --pgctl no/pg_ctl",
            &[("PG_AUTOCTL_SSL_SELF_SIGNED", value)],
        );
        assert_eq!(ended.code, 1, "{value}: {}", ended.stderr);
        assert!(!ended.stderr.contains("invalid value"), "{value}: {}", ended.stderr);
    }
    create(&[("PG_AUTOCTL_HBA_LAN", "maybe")]).refuses(1, "maybe");
}

#[test]
fn the_local_network_is_allowed_by_either_variable() {
    let bed = Bed::new();
    for (index, (name, value, level)) in [
        ("PG_AUTOCTL_HBA_LAN", "on", "lan"),
        ("PG_AUTOCTL_PG_HBA_LAN", "y", "lan"),
        ("PG_AUTOCTL_PG_HBA_LAN", "no", "minimal"),
    ]
    .into_iter()
    .enumerate()
    {
        let create = format!(
            "create postgres --disable-monitor --node-id 1 --hostname localhost --no-ssl --pgport {} --pgdata n{index}",
            free_port()
        );
        bed.run_with(create, &[(name, value)]).succeeds();
        let said = bed.run(format!("config get postgresql.hba_level --pgdata n{index}")).succeeds();
        assert_eq!(said, format!("{level}\n"), "{name}={value}");
    }
    let create = "create postgres --disable-monitor --node-id 1 --hostname localhost --no-ssl --pgdata n9";
    bed.run_with(create, &[("PG_AUTOCTL_PG_HBA_LAN", "perhaps")]).refuses(1, "perhaps");
}

/// As 2.2 writes it for a worker, every key with its default.
fn written_by_2_2(bed: &Bed) -> String {
    format!(
        "[pg_autoctl]\nrole = keeper\nmonitor = {NOBODY}\nformation = default\ngroup = 0\nname = n1\nhostname = h\n\
         nodekind = standalone\n\n[postgresql]\npgdata = {}\npg_ctl = /bin/true\ndbname = postgres\nhost = /tmp\n\
         port = 5999\nproxyport = 0\nlisten_addresses = *\nauth_method = trust\nhba_level = app\n\n[ssl]\nactive = 0\n\
         sslmode = prefer\ncert_file = /srv/server.crt\nkey_file = /srv/server.key\n\n[replication]\n\
         maximum_backup_rate = 100M\nbackup_directory = /srv/backup/node_1\n\n[timeout]\n\
         network_partition_timeout = 20\nprepare_promotion_catchup = 30\nprepare_promotion_walreceiver = 5\n\
         postgresql_restart_failure_timeout = 20\npostgresql_restart_failure_max_retries = 3\n\
         listen_notifications_timeout = 90\ncitus_master_update_node_lock_cooldown = 10000\n\
         citus_coordinator_wait_max_retries = 10\ncitus_coordinator_wait_timeout = 5\n\n[citus]\nrole = primary\n\
         cluster_name = default\n",
        bed.path("pg").display()
    )
}

#[test]
fn configuration_files_of_2_2_are_taken() {
    let bed = Bed::new();
    let file = bed.config_file("pg");
    bed.write(&file, &written_by_2_2(&bed));
    let config = |arguments: &str| bed.run(format!("config {arguments} --pgdata pg"));
    let shown = config("get");
    assert!(!shown.stderr.contains("WARN"), "{}", shown.stderr);
    assert_eq!(config("get postgresql.hba_level").succeeds(), "lan\n");
    assert_eq!(config("get timeout.listen_notifications_timeout").succeeds(), "90\n");
    assert_eq!(config("get timeout.citus_coordinator_wait_timeout").succeeds(), "5\n");
    bed.write(&file, &written_by_2_2(&bed).replace("hba_level = app", "hba_level = skip"));
    assert_eq!(config("get postgresql.hba_level").succeeds(), "none\n");
    bed.write(&file, &written_by_2_2(&bed).replace("hostname = h", "nodename = old"));
    assert_eq!(config("get pg_autoctl.hostname").succeeds(), "old\n");
    // What changes nothing is said to, and kept.
    let set = config("set timeout.prepare_promotion_catchup 40");
    assert!(set.stderr.contains("changes nothing"), "{}", set.stderr);
    assert_eq!(set.succeeds(), "40\n");
    let written = std::fs::read_to_string(&file).expect("read");
    for kept in
        ["prepare_promotion_catchup = 40", "citus_coordinator_wait_max_retries = 10", "hostname = old"]
    {
        assert!(written.contains(kept), "{kept}: {written}");
    }
    assert!(!written.contains("nodename"), "{written}");
    config("check").refuses(2, "postgresql.backup_directory".replace("postgresql", "replication").as_str());
}

#[test]
fn a_setting_that_is_not_known_is_a_warning_with_its_line() {
    let bed = Bed::new();
    let file = bed.config_file("pg");
    bed.write(&file, &format!("{}colour = red\n", written_by_2_2(&bed)));
    let ended = bed.run("config get pg_autoctl.name --pgdata pg");
    let line = std::fs::read_to_string(&file).expect("read").lines().count();
    assert!(ended.stderr.contains(&format!("line {line}: setting \"citus.colour\"")), "{}", ended.stderr);
    assert_eq!(ended.succeeds(), "n1\n");
}

#[test]
fn values_are_checked_where_they_are_set() {
    let bed = Bed::new();
    bed.write(&bed.config_file("pg"), &written_by_2_2(&bed));
    for (setting, why) in [
        ("postgresql.port many", "port"),
        ("postgresql.colour red", "there is no setting"),
        ("pg_autoctl.formation other", "fixed when the node was made"),
        ("postgresql.pg_ctl /no/such/pg_ctl", "/no/such/pg_ctl"),
        ("ssl.ca_file /no/such/file", "/no/such/file"),
        ("ssl.sslmode verify-full", "ssl.ca_file"),
        ("ssl.sslmode require", "enable ssl"),
        ("ssl.active maybe", "neither 1 nor 0"),
        ("timeout.network_partition_timeout soon", "not a time"),
        ("pg_autoctl.hostname no-such-host.invalid", "does not resolve"),
    ] {
        bed.run(format!("config set {setting} --pgdata pg")).refuses(2, why);
    }
    bed.run("config get postgresql.colour --pgdata pg").refuses(1, "there is no setting");
}

#[test]
fn the_monitors_connection_string_is_a_formation_of_its_own() {
    let bed = Bed::new();
    let server = Server::start(&bed).play_monitor(env!("CARGO_PKG_VERSION").split_at(3).0);
    let shown = format!("postgres://autoctl_node:****@127.0.0.1:{}/pg_auto_failover", server.port);
    let show = |arguments: &str| bed.run(format!("show uri -m {} {arguments}", server.uri())).succeeds();
    assert_eq!(show("--formation monitor"), format!("{shown}\n"));
    let json: serde_json::Value = serde_json::from_str(&show("--formation monitor --json")).expect("JSON");
    assert_eq!(json, serde_json::json!({ "monitor": shown }));
    let json: serde_json::Value = serde_json::from_str(&show("--formation default --json")).expect("JSON");
    assert_eq!(json["monitor"], shown);
    assert!(show("--formation default --citus-cluster reads").contains("target_session_attrs"));
    assert!(json["default"].as_str().is_some_and(|uri| uri.contains("target_session_attrs")), "{json}");
}

#[test]
fn what_test_rigs_ask_for() {
    let bed = Bed::new();
    let run = |command: &str| bed.run_with(format!("do {command}"), &[("PG_AUTOCTL_DEBUG", "1")]);
    let script = run("tmux script --nodes 3 --async-nodes 1 --first-pgport 7000 --root /tmp/x").succeeds();
    assert!(
        script.contains("new-session -d -s pgautofailover-7000") && script.contains("--pgport 7003"),
        "{script}"
    );
    let compose = run("tmux compose config -n 1 -p 7000").succeeds();
    assert!(compose.contains("volumes: [\"node1:") && compose.contains("\"7001:5432\""), "{compose}");
    assert!(run("tmux compose script").succeeds().contains("docker compose -p pgautofailover-5500"));
    run("tmux script --nodes 1 --async-nodes 2").refuses(1, "--async-nodes");
    assert_eq!(run("show lookup 127.0.0.1").succeeds(), "127.0.0.1: 127.0.0.1\n");
    assert_eq!(run("show reverse 127.0.0.1").succeeds(), "127.0.0.1: localhost\n");
    run("show lookup no-such-host.invalid").refuses(12, "no-such-host.invalid");
    assert!(run("fsm gv").succeeds().starts_with("digraph"));
    let create = "create postgres --disable-monitor --node-id 7 --hostname localhost --no-ssl --pgdata n7";
    bed.run(format!("{create} --pgport {}", free_port())).succeeds();
    for command in ["fsm init", "fsm state"] {
        let state: serde_json::Value =
            serde_json::from_str(&run(&format!("{command} -D n7")).succeeds()).expect("JSON");
        assert_eq!(
            (&state["state"]["current_role"], &state["state"]["nodeId"]),
            (&"init".into(), &7.into()),
            "{state}"
        );
    }
    assert!(run("fsm list -D n7").succeeds().contains("secondary"));
    assert_eq!(run("fsm nodes get -D n7").succeeds().trim(), "[]");
    let found = run("pgsetup discover -D n7").succeeds();
    assert!(found.contains("pgdata:") && found.contains("Postmaster status:"), "{found}");
    assert_eq!(run("pgsetup ready -D n7").code, 4);
    run("pgsetup logs -D n7").succeeds();
    let tuned = run("pgsetup tune").succeeds();
    assert!(tuned.lines().any(|line| line.starts_with("shared_buffers = '")), "{tuned}");
    run("service getpid postgres -D n7").refuses(12, "Postgres does not run");
    run("service getpid node-active -D n7").refuses(12, "pg_autoctl does not run");
}

/// The supervisor of 2.x would stop Postgres if they ended.
#[test]
fn parts_that_a_supervisor_of_2_2_starts_wait_for_it_to_end() {
    let bed = Bed::new();
    for part in ["postgres", "node-active", "listener"] {
        let mut child = bed.start(format!("do service {part} --pgdata n1 -vvv"), part);
        let log = bed.path(part);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let begin = std::time::Instant::now();
        while !said().contains("docs/upgrade.md") {
            assert!(child.try_wait().expect("waited").is_none(), "it has ended: {}", said());
            assert!(begin.elapsed() < std::time::Duration::from_secs(20), "it says nothing: {}", said());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signalled");
        assert!(child.wait().expect("ended").success(), "{}", said());
    }
}
