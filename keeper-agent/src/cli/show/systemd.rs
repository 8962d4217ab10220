//! `show systemd`: a unit that runs the node.

use std::path::Path;

use nix::unistd::{Uid, User};

use super::super::error::CliResult;
use super::super::options::Pgdata;
use super::super::print;
use crate::config::Config;

/// Runs it.
pub(super) fn run(pgdata: &Pgdata) -> CliResult {
    let pgdata = pgdata.required()?;
    Config::load(&pgdata)?;
    let owner = pgdata.metadata().map_or_else(
        |_| Uid::effective(),
        |metadata| Uid::from_raw(std::os::unix::fs::MetadataExt::uid(&metadata)),
    );
    let user = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
    let program = std::env::current_exe().unwrap_or_else(|_| "pg_autoctl".into());
    print::line(&unit(&pgdata, &program, &user))
}

/// The environment that changes which files belong to a node.
const ENVIRONMENT: [&str; 4] = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "PG_REGRESS_SOCK_DIR"];

fn unit(pgdata: &Path, program: &Path, user: &str) -> String {
    let environment: String = ENVIRONMENT
        .iter()
        .filter_map(|name| Some(format!("Environment={name}={}\n", std::env::var(name).ok()?)))
        .collect();
    format!(
        "[Unit]\n\
         Description=pg_autoctl in {pgdata}\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         User={user}\n\
         WorkingDirectory=/\n\
         Environment=PGDATA={pgdata}\n\
         {environment}\
         ExecStart={program} run\n\
         ExecReload={program} reload\n\
         # Exit codes after which running again would not help.\n\
         RestartPreventExitStatus=2 121 122\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         StartLimitIntervalSec=0\n\
         # Only the keeper is signalled: it hands over before it stops Postgres.\n\
         KillMode=mixed\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec=120\n\
         OOMScoreAdjust=-900\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target",
        pgdata = pgdata.display(),
        program = program.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_the_node_as_its_owner() {
        let unit = unit(Path::new("/data/pg"), Path::new("/bin/pg_autoctl"), "postgres");
        for line in
            ["User=postgres", "Environment=PGDATA=/data/pg", "ExecStart=/bin/pg_autoctl run", "Type=notify"]
        {
            assert!(unit.lines().any(|it| it == line), "{unit}");
        }
    }
}
