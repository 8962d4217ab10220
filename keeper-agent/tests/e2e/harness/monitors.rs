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
            let token = write_token(host)?;
            let mut args =
                strings(&["create", "monitor", "--pgport", "5432", "--name", name, "--peers", &peers]);
            args.extend(strings(&["--join-token-file", &token]));
            args.extend(self.setup.security.options(&host.directory.join("tls")));
            args.push("--run".to_owned());
            if self.setup.has_witness && name == "m3" {
                args.push("--witness".to_owned());
            }
            self.monitor_named_mut(name)?.start(&args)?;
        }
        self.wait_three_monitors(START_DEADLINE).map_err(|error| error.context(self.dump()))
    }

    /// A new host, whose monitor joins the others through one of them; runs it, and does not wait for it.
    pub(crate) fn join_monitor(&mut self, name: &str, through: &str, options: &[&str]) -> Result<()> {
        let number = u8::try_from(2 + self.other_monitors.len())?;
        let host = self.make_host(name, number)?;
        let contact = self.monitor_named(through)?.address().to_string();
        let token = write_token(&host)?;
        let address = host.address().to_string();
        let mut args =
            strings(&["create", "monitor", "--pgport", "5432", "--name", name, "--join", &contact]);
        args.extend(strings(&["--join-token-file", &token, "--hostname", &address]));
        args.extend(strings(options));
        args.extend(self.setup.security.options(&host.directory.join("tls")));
        host.autoctl(&args)?.success()?;
        self.other_monitors.push(host);
        self.monitor_named_mut(name)?.run()
    }

    /// A monitor is lost for good, with all that is on its host.
    pub(crate) fn lose_monitor(&mut self, name: &str) -> Result<()> {
        let host = self.monitor_named_mut(name)?;
        host.kill_everything()?;
        for part in ["data", "home"] {
            std::fs::remove_dir_all(host.directory.join(part))?;
        }
        Ok(())
    }

    /// Waits until one monitor decides, and all others that have a server follow it by synchronous streaming.
    pub(crate) fn wait_three_monitors(&self, within: Duration) -> Result<()> {
        wait_for("one monitor that two others follow", within, || {
            let Some(leader) = self.leading_monitor() else { return Ok(None) };
            let sql = "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'quorum'";
            let followers = leader.psql("pg_auto_failover", sql)?;
            leader.psql("pg_auto_failover", "select count(*) from pgautofailover.formation")?;
            let expected = if self.setup.has_witness { "1" } else { "2" };
            Ok((followers == expected).then_some(()))
        })?;
        self.forget_watch();
        Ok(())
    }
}

fn write_token(host: &Host) -> Result<String> {
    let token = host.directory.join("token");
    std::fs::write(&token, TOKEN)?;
    super::host::give_to_postgres(&token)?;
    Ok(token.display().to_string())
}
