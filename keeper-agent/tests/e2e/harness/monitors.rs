//! Three monitors in the place of one.

use std::time::Duration;

use anyhow::{Context, Result};

use super::cluster::{Cluster, strings};
use super::host::Host;
use super::wait::wait_for;

/// How long three monitors may take until one of them decides, and the others follow.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// What lets them in.
const TOKEN: &str = "the token of the monitors of a test, which need not be secret\n";

impl Cluster {
    /// The hosts of all monitors.
    pub(crate) fn monitors(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.monitor).chain(&self.other_monitors)
    }

    /// The host of the monitor of that name.
    pub(crate) fn monitor_named(&self, name: &str) -> Result<&Host> {
        let found = self.monitors().find(|host| host.name == name);
        found.with_context(|| format!("no monitor is called {name}"))
    }

    /// The same, to change what runs on it.
    pub(crate) fn monitor_named_mut(&mut self, name: &str) -> Result<&mut Host> {
        let mut all = std::iter::once(&mut self.monitor).chain(&mut self.other_monitors);
        let found = all.find(|host| host.name == name);
        found.with_context(|| format!("no monitor is called {name}"))
    }

    /// The monitor whose Postgres accepts writes, where there are three; it may be one that does not know yet that another
    /// one has taken over.
    pub(crate) fn leading_monitor(&self) -> Option<&Host> {
        let sql = "select pg_is_in_recovery()";
        let leads = |host: &&Host| host.psql("pg_auto_failover", sql).is_ok_and(|answer| answer == "f");
        if self.setup.has_three_monitors { self.monitors().find(leads) } else { None }
    }

    /// Makes three, and waits until two follow one.
    pub(super) fn start_monitors(&mut self) -> Result<()> {
        self.monitor.environment.clone_from(&self.setup.environment);
        for number in [2, 3] {
            let host = self.make_host(&format!("m{number}"), number)?;
            self.other_monitors.push(host);
        }
        let peers: Vec<String> =
            self.monitors().map(|host| format!("{}={}", host.name, host.address())).collect();
        let peers = peers.join(",");
        for name in ["m3", "m1", "m2"] {
            let host = self.monitor_named(name)?;
            let token = host.directory.join("token");
            std::fs::write(&token, TOKEN)?;
            super::host::give_to_postgres(&token)?;
            let token = token.display().to_string();
            let mut args =
                strings(&["create", "monitor", "--pgport", "5432", "--name", name, "--peers", &peers]);
            args.extend(strings(&["--join-token-file", &token]));
            args.extend(self.setup.security.options(&host.directory.join("tls")));
            args.push("--run".to_owned());
            self.monitor_named_mut(name)?.start(&args)?;
        }
        self.wait_three_monitors(START_DEADLINE).map_err(|error| error.context(self.dump()))
    }

    /// Waits until one monitor decides, and the two others follow it by synchronous streaming.
    pub(crate) fn wait_three_monitors(&self, within: Duration) -> Result<()> {
        wait_for("one monitor that two others follow", within, || {
            let Some(leader) = self.leading_monitor() else { return Ok(None) };
            let sql = "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'";
            let followers = leader.psql("pg_auto_failover", sql)?;
            leader.psql("pg_auto_failover", "select count(*) from pgautofailover.formation")?;
            Ok((followers == "2").then_some(()))
        })?;
        self.forget_watch();
        Ok(())
    }
}
