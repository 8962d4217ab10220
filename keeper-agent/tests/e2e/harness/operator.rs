//! What an operator asks for on the command line.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use super::host::Host;
use super::process::Ended;

impl Cluster {
    /// Runs `pg_autoctl` on the monitor's host; it must succeed.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String> {
        self.monitor.autoctl(args)?.success().with_context(|| args.join(" "))
    }

    /// The same with `--json`.
    pub(crate) fn ask_json(&self, args: &[&str]) -> Result<Value> {
        let said = self.ask(&[args, &["--json"]].concat())?;
        serde_json::from_str(&said).with_context(|| format!("{args:?} printed {said}"))
    }

    /// Runs `pg_autoctl` on the host of that node; it must succeed.
    pub(crate) fn ask_on(&self, name: &str, args: &[&str]) -> Result<String> {
        self.host(name)?.autoctl(args)?.success().with_context(|| format!("on {name}: {}", args.join(" ")))
    }

    /// Runs `pg_autoctl` on the monitor's host; it must refuse, and name the reason in these words.
    pub(crate) fn ask_in_vain(&self, args: &[&str], words: &[&str]) -> Result<()> {
        refused(&self.monitor, args, words)
    }

    /// The same on the host of that node.
    pub(crate) fn ask_in_vain_on(&self, name: &str, args: &[&str], words: &[&str]) -> Result<()> {
        refused(self.host(name)?, args, words)
    }
}

fn refused(host: &Host, args: &[&str], words: &[&str]) -> Result<()> {
    let ended: Ended = host.autoctl(args)?;
    let what = format!("`{}` on {}: exit code {}\n{}", args.join(" "), host.name, ended.code(), ended.stderr);
    ensure!(ended.code() != 0, "not refused: {what}");
    for word in words {
        ensure!(ended.stderr.contains(word), "the refusal does not say {word:?}: {what}");
    }
    Ok(())
}
