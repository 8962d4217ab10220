//! Whom commits wait for: `synchronous_standby_names` in the words of the test.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cluster::Cluster;
use super::wait::wait_for;

impl Cluster {
    /// The value that makes commits wait for so many of these nodes; empty when it is for none.
    pub(crate) fn standby_names(&self, acks: usize, names: &[&str]) -> Result<String> {
        if acks == 0 {
            return Ok(String::new());
        }
        let rows = self.rows()?;
        let id = |name: &&str| {
            let row = rows.iter().find(|row| row.name == **name);
            row.map(|row| row.id).with_context(|| format!("the monitor knows no {name}"))
        };
        let mut ids = names.iter().map(id).collect::<Result<Vec<i64>>>()?;
        ids.sort_unstable();
        let slots: Vec<String> = ids.iter().map(|id| format!("pgautofailover_standby_{id}")).collect();
        Ok(format!("ANY {acks} ({})", slots.join(", ")))
    }

    /// Waits until commits on that node wait for so many of these nodes, and the monitor says the same.
    pub(crate) fn wait_commits_wait(
        &self,
        on: &str,
        acks: usize,
        names: &[&str],
        within: Duration,
    ) -> Result<()> {
        let expected = self.standby_names(acks, names)?;
        wait_for(&format!("commits on {on} to wait for {acks} of {names:?}"), within, || {
            let in_force = self.host(on)?.psql("postgres", "show synchronous_standby_names")?;
            let told =
                self.on_monitor(|monitor| monitor.text("select pgautofailover.synchronous_standby_names()"))?;
            if in_force == expected && told == expected {
                return Ok(Some(()));
            }
            bail!("{on} has {in_force:?} and the monitor says {told:?}")
        })
    }
}
