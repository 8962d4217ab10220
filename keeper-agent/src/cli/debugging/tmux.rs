//! `do tmux …`: a formation to try things with, one pane a node, with its states live and a shell. Here or with Compose.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::super::commands::{Compose, Session, Tmux};
use super::super::error::{CliError, CliResult};
use super::super::print;
use crate::exit::Exit;

/// The image that the services of the compose file run.
const IMAGE: &str = "pg_auto_failover:citus";
/// Where its data and its own files are, on the volume of its service.
const VOLUME: &str = "/var/lib/pg_auto_failover";

/// Runs one of them.
pub(super) fn run(command: &Tmux) -> CliResult {
    match command {
        Tmux::Script(options) => print::line(script(&SessionSpec::of(options)?).trim_end()),
        Tmux::Session(options) => attach(&SessionSpec::of(options)?, script),
        Tmux::Compose(Compose::Config(options)) => {
            print::line(compose_file(&SessionSpec::of(options)?).trim_end())
        }
        Tmux::Compose(Compose::Script(options)) => {
            print::line(compose_script(&SessionSpec::of(options)?).trim_end())
        }
        Tmux::Compose(Compose::Session(options)) => compose_session(&SessionSpec::of(options)?),
    }
}

struct Node {
    name: String,
    port: u16,
    priority: i32,
    is_in_quorum: bool,
}

/// What the options ask for.
struct SessionSpec<'a> {
    options: &'a Session,
    program: String,
    nodes: Vec<Node>,
}

impl<'a> SessionSpec<'a> {
    fn of(options: &'a Session) -> CliResult<Self> {
        if options.async_nodes > options.nodes {
            return Err(CliError::bad_arguments(format!(
                "--async-nodes {} is more than --nodes {}",
                options.async_nodes, options.nodes
            )));
        }
        if options.first_pgport.checked_add(options.nodes).is_none() {
            return Err(CliError::bad_arguments(
                "the nodes need ports up to 65535: give a lower --first-pgport",
            ));
        }
        let program = match &options.binpath {
            Some(path) => path.clone(),
            None => std::env::current_exe().unwrap_or_else(|_| PathBuf::from("pg_autoctl")),
        };
        let node = |index: u16| Node {
            name: format!("node{}", index + 1),
            port: options.first_pgport + index + 1,
            priority: options.node_priorities.get(usize::from(index)).copied().unwrap_or(50),
            is_in_quorum: index < options.nodes - options.async_nodes,
        };
        Ok(Self {
            options,
            program: program.display().to_string(),
            nodes: (0..options.nodes).map(node).collect(),
        })
    }

    fn session_name(&self) -> String {
        format!("pgautofailover-{}", self.options.first_pgport)
    }

    fn script_file(&self) -> PathBuf {
        self.options.root.join(format!("script-{}.tmux", self.options.first_pgport))
    }

    fn hba_option(&self) -> &'static str {
        if self.options.skip_pg_hba { "--skip-pg-hba" } else { "--auth trust --pg-hba-lan" }
    }

    /// The monitor's own local network is allowed anyway.
    fn monitor_hba_option(&self) -> &'static str {
        if self.options.skip_pg_hba { "--skip-pg-hba" } else { "--auth trust" }
    }

    /// Number of standbys, once the nodes are there.
    fn sync_standbys(&self) -> Option<String> {
        let number = self.options.sync_standbys;
        (number > 0).then(|| format!("set formation number-sync-standbys {number}"))
    }
}

/// In double quotes for tmux, which knows backslashes there.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Panes one below the other, each a shell in which one command is typed.
fn panes(spec: &SessionSpec<'_>, environment: &str, commands: &[String]) -> String {
    let mut script = String::new();
    let mut add = |line: String| {
        script.push_str(&line);
        script.push('\n');
    };
    add("set-option -g default-shell /bin/bash".to_owned());
    add(format!("new-session -d -s {}", spec.session_name()));
    for (index, command) in commands.iter().enumerate() {
        if index > 0 {
            add("split-window -v".to_owned());
            add(format!("select-layout {}", spec.options.layout));
        }
        if !environment.is_empty() {
            add(format!("send-keys {} Enter", quoted(environment)));
        }
        add(format!("send-keys {} Enter", quoted(command)));
    }
    if let Ok(extra) = std::env::var("TMUX_EXTRA_COMMANDS") {
        add(extra);
    }
    script
}

fn script(spec: &SessionSpec<'_>) -> String {
    let root = spec.options.root.display().to_string();
    let program = shell_quoted(&spec.program);
    let in_root = |name: &str| shell_quoted(&format!("{root}/{name}"));
    let environment = format!(
        "export PG_AUTOCTL_DEBUG=1 PG_REGRESS_SOCK_DIR= XDG_CONFIG_HOME={} XDG_DATA_HOME={} XDG_RUNTIME_DIR={}",
        in_root("config"),
        in_root("share"),
        in_root("run")
    );
    let port = spec.options.first_pgport;
    let monitor = format!("postgres://autoctl_node@localhost:{port}/pg_auto_failover?sslmode=require");
    let mut commands = vec![format!(
        "{program} create monitor --pgdata {} --pgport {port} --hostname localhost --ssl-self-signed {} --run",
        in_root("monitor"),
        spec.monitor_hba_option()
    )];
    commands.extend(spec.nodes.iter().map(|node| {
        format!(
            "{program} create postgres --pgdata {} --name {} --pgport {} --hostname localhost --monitor '{monitor}' \
             --ssl-self-signed {} --candidate-priority {} --replication-quorum {} --run",
            in_root(&node.name),
            node.name,
            node.port,
            spec.hba_option(),
            node.priority,
            node.is_in_quorum
        )
    }));
    let wait = format!(
        "until {program} show state --pgdata {} >/dev/null 2>&1; do sleep 1; done",
        in_root("monitor")
    );
    commands.push(format!("{wait}; {program} watch --pgdata {}", in_root("monitor")));
    let set = spec.sync_standbys().map(|set| {
        format!("; {wait}; until {program} {set} --pgdata {}; do sleep 1; done", in_root("monitor"))
    });
    commands.push(format!(
        "export PGDATA={}; cd {}{}",
        in_root("monitor"),
        shell_quoted(&root),
        set.unwrap_or_default()
    ));
    panes(spec, &environment, &commands)
}

/// A monitor, the nodes, and a volume each: what pg_autoctl knows of its node is kept beside the data.
fn compose_file(spec: &SessionSpec<'_>) -> String {
    let mut file = format!(
        "x-node: &node\n  image: {IMAGE}\n  restart: unless-stopped\n\n\
         x-environment: &environment\n  PGDATA: {VOLUME}/pgaf\n  XDG_CONFIG_HOME: {VOLUME}/config\n  \
         XDG_DATA_HOME: {VOLUME}/share\n  PG_AUTOCTL_SSL_SELF_SIGNED: \"true\"\n\nservices:\n"
    );
    // Writing to a String cannot fail.
    let _ = write!(
        file,
        "  monitor:\n    <<: *node\n    hostname: monitor\n    environment:\n      <<: *environment\n    \
         volumes: [\"monitor:{VOLUME}\"]\n    ports: [\"{}:5432\"]\n    \
         command: pg_autoctl create monitor {} --run\n",
        spec.options.first_pgport,
        spec.monitor_hba_option()
    );
    for node in &spec.nodes {
        let Node { name, port, priority, is_in_quorum } = node;
        let _ = write!(
            file,
            "  {name}:\n    <<: *node\n    hostname: {name}\n    environment:\n      <<: *environment\n      \
             PG_AUTOCTL_MONITOR: postgres://autoctl_node@monitor/pg_auto_failover\n      \
             PG_AUTOCTL_NODE_NAME: {name}\n      PG_AUTOCTL_CANDIDATE_PRIORITY: \"{priority}\"\n      \
             PG_AUTOCTL_REPLICATION_QUORUM: \"{is_in_quorum}\"\n    volumes: [\"{name}:{VOLUME}\"]\n    \
             ports: [\"{port}:5432\"]\n    depends_on: [monitor]\n    \
             command: pg_autoctl create postgres {} --run\n",
            spec.hba_option()
        );
    }
    file.push_str("\nvolumes:\n  monitor:\n");
    for node in &spec.nodes {
        let _ = writeln!(file, "  {}:", node.name);
    }
    file
}

fn compose_command(spec: &SessionSpec<'_>) -> String {
    let file = spec.options.root.join("docker-compose.yml").display().to_string();
    format!("docker compose -p {} -f {}", spec.session_name(), shell_quoted(&file))
}

fn compose_script(spec: &SessionSpec<'_>) -> String {
    let compose = compose_command(spec);
    let in_monitor = format!("{compose} exec monitor pg_autoctl");
    let wait = format!("until {in_monitor} show state >/dev/null 2>&1; do sleep 1; done");
    let set = spec.sync_standbys().map(|set| format!("{wait}; until {in_monitor} {set}; do sleep 1; done; "));
    let commands = [
        format!("{compose} up"),
        format!("{wait}; {in_monitor} watch"),
        format!("{}{compose} exec node1 bash", set.unwrap_or_else(|| format!("{wait}; "))),
    ];
    panes(spec, "", &commands)
}

fn compose_session(spec: &SessionSpec<'_>) -> CliResult {
    write(&spec.options.root.join("docker-compose.yml"), &compose_file(spec))?;
    attach(spec, compose_script)?;
    tracing::info!("the containers run on; this removes them: {} down --volumes", compose_command(spec));
    Ok(())
}

fn write(file: &std::path::Path, content: &str) -> CliResult {
    let parent = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    parent.and_then(|()| std::fs::write(file, content)).map_err(|error| {
        CliError::new(Exit::Internal, format!("cannot write \"{}\": {error}", file.display()))
    })
}

/// Makes the session and shows it until it is left.
fn attach(spec: &SessionSpec<'_>, script: fn(&SessionSpec<'_>) -> String) -> CliResult {
    let file = spec.script_file();
    write(&file, &script(spec))?;
    let tmux = |arguments: &[&str]| {
        Command::new("tmux").args(arguments).status().map_err(|error| {
            CliError::new(
                Exit::Internal,
                format!("cannot run tmux: {error}; \"pg_autoctl do tmux script\" prints what it would do"),
            )
        })
    };
    let file = file.display().to_string();
    let name = spec.session_name();
    let made = tmux(&["start-server", ";", "source-file", &file])?;
    if !made.success() {
        return Err(CliError::new(Exit::Internal, format!("tmux could not make a session from \"{file}\"")));
    }
    let left = tmux(&["attach-session", "-t", &name])?;
    tracing::info!(
        "\"tmux attach -t {name}\" comes back to the session, \"tmux kill-session -t {name}\" ends it"
    );
    if left.success() {
        Ok(())
    } else {
        Err(CliError::new(Exit::Internal, format!("tmux could not show session \"{name}\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Session {
        Session {
            root: "/tmp/a b".into(),
            first_pgport: 5500,
            nodes: 3,
            async_nodes: 1,
            node_priorities: vec![70],
            sync_standbys: 1,
            skip_pg_hba: false,
            layout: "even-vertical".to_owned(),
            binpath: Some("/usr/bin/pg_autoctl".into()),
        }
    }

    #[test]
    fn a_session_has_a_pane_for_each_node_and_two_more() {
        let options = options();
        let script = script(&SessionSpec::of(&options).expect("valid"));
        assert_eq!(script.matches("split-window").count(), 5, "{script}");
        for words in [
            "new-session -d -s pgautofailover-5500",
            "--name node3 --pgport 5503",
            "'/tmp/a b/node1'",
            "--candidate-priority 70",
            "--replication-quorum false",
            "set formation number-sync-standbys 1",
        ] {
            assert!(script.contains(words), "\"{words}\" is not in: {script}");
        }
    }

    #[test]
    fn a_compose_file_has_a_named_volume_for_each_service() {
        let options = options();
        let file = compose_file(&SessionSpec::of(&options).expect("valid"));
        for name in ["monitor", "node1", "node2", "node3"] {
            assert!(file.contains(&format!("\n  {name}:\n    <<: *node")), "{file}");
            assert!(file.contains(&format!("[\"{name}:{VOLUME}\"]")), "{file}");
            assert!(
                file.split_once("\nvolumes:\n").is_some_and(|(_, it)| it.contains(&format!("  {name}:\n")))
            );
        }
        assert!(!file.starts_with("version:"));
    }

    #[test]
    fn more_asynchronous_nodes_than_nodes_are_refused() {
        let options = Session { async_nodes: 4, ..options() };
        assert!(SessionSpec::of(&options).is_err());
    }
}
