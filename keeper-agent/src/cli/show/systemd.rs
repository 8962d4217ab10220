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

/// The environment that changes which files belong to a node. The runtime directory is that of a login session, which ends
/// before the service does.
const ENVIRONMENT: [&str; 3] = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "PG_REGRESS_SOCK_DIR"];

/// One word of a unit: in quotes, with what systemd would put in place of `%` and, in a command, `$` taken as it is.
fn word(text: &str, is_command: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{}\"", if is_command { text.replace('$', "$$") } else { text })
}

fn unit(pgdata: &Path, program: &Path, user: &str) -> String {
    let environment: String = ENVIRONMENT
        .iter()
        .filter_map(|name| {
            let variable = format!("{name}={}", std::env::var(name).ok()?);
            Some(format!("Environment={}\n", word(&variable, false)))
        })
        .collect();
    let variable = word(&format!("PGDATA={}", pgdata.display()), false);
    let program = word(&program.display().to_string(), true);
    format!(
        "[Unit]\n\
         Description=pg_autoctl in {description}\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         User={user}\n\
         WorkingDirectory=/\n\
         Environment={variable}\n\
         {environment}\
         ExecStart={program} run\n\
         ExecReload={program} reload\n\
         # Exit codes after which running again would not help.\n\
         RestartPreventExitStatus=2 121 122\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         StartLimitIntervalSec=0\n\
         # Only the keeper is signalled: it hands over before it stops Postgres, which takes as long as it makes progress.\n\
         KillMode=mixed\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec=infinity\n\
         # The keeper and the postmaster are spared; sessions are not.\n\
         OOMScoreAdjust=-900\n\
         Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj\n\
         Environment=PG_OOM_ADJUST_VALUE=0\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target",
        description = pgdata.display().to_string().replace('%', "%%"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_the_node_as_its_owner() {
        let unit = unit(Path::new("/data/my 100%"), Path::new("/opt/p g/pg_autoctl"), "postgres");
        for line in [
            "User=postgres",
            "Environment=\"PGDATA=/data/my 100%%\"",
            "ExecStart=\"/opt/p g/pg_autoctl\" run",
            "ExecReload=\"/opt/p g/pg_autoctl\" reload",
            "Environment=PG_OOM_ADJUST_VALUE=0",
            "Type=notify",
        ] {
            assert!(unit.lines().any(|it| it == line), "{unit}");
        }
    }
}
