//! Links that are not cut, and are not well either.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use super::network::Link;
use super::process::run;

/// What a slow link lets through: less than a busy group sends, and enough for a report.
const SLOW: [&str; 6] = ["rate", "512kbit", "burst", "16kb", "latency", "400ms"];

impl Link {
    /// Drops what comes from one other address; what is sent there still arrives.
    pub(crate) fn block_from(&self, other: Ipv4Addr) -> Result<()> {
        self.iptables(&["-A", "INPUT", "-s", &other.to_string(), "-j", "DROP"])
    }

    /// Undoes `block_from`.
    pub(crate) fn unblock_from(&self, other: Ipv4Addr) -> Result<()> {
        self.iptables(&["-D", "INPUT", "-s", &other.to_string(), "-j", "DROP"])
    }

    /// Loses that share of all packets, in both directions.
    pub(crate) fn lose(&self, share: f64) -> Result<()> {
        self.losses("-A", share)
    }

    /// Undoes `lose` with the same share.
    pub(crate) fn lose_nothing(&self, share: f64) -> Result<()> {
        self.losses("-D", share)
    }

    /// Loses that share of the packets that come in.
    pub(crate) fn lose_received(&self, share: f64) -> Result<()> {
        self.loss("-A", "INPUT", "-i", share)
    }

    /// Undoes `lose_received` with the same share.
    pub(crate) fn lose_nothing_received(&self, share: f64) -> Result<()> {
        self.loss("-D", "INPUT", "-i", share)
    }

    fn losses(&self, action: &str, share: f64) -> Result<()> {
        self.loss(action, "INPUT", "-i", share)?;
        self.loss(action, "OUTPUT", "-o", share)
    }

    fn loss(&self, action: &str, chain: &str, side: &str, share: f64) -> Result<()> {
        let rule = [action, chain, side, "eth0", "-m", "statistic", "--mode", "random"];
        self.iptables(&[rule.as_slice(), &["--probability", &share.to_string(), "-j", "DROP"]].concat())
    }

    /// Lets only so much through, in both directions.
    pub(crate) fn slow_down(&self) -> Result<()> {
        self.queue("add", &[&["tbf"], SLOW.as_slice()].concat())
    }

    /// Undoes `slow_down`.
    pub(crate) fn speed_up(&self) -> Result<()> {
        self.queue("delete", &[])
    }

    fn queue(&self, action: &str, discipline: &[&str]) -> Result<()> {
        for (namespace, device) in [(self.namespace.name(), "eth0"), (&self.bridge, &self.port)] {
            let args = ["-n", namespace, "qdisc", action, "dev", device, "root"];
            run(Command::new("tc").args(args).args(discipline))?;
        }
        Ok(())
    }

    fn iptables(&self, args: &[&str]) -> Result<()> {
        let namespace = ["netns", "exec", self.namespace.name(), "iptables", "-w"];
        run(Command::new("ip").args(namespace).args(args))
    }
}
