//! HAProxy with our health checks: writes follow the primary, and slow standbys get no reads.

use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};

use super::client::Endpoint;
use super::health::add;
use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{Application, Audience, Door, Pace, Sql, Target, Writer, wait_for};
use crate::port;

cases! {
    needs &["haproxy"];
    0:
        writes_and_reads_through_haproxy;
}

/// A running HAProxy.
struct Haproxy {
    child: Child,
    writes: u16,
    reads: u16,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Haproxy {
    fn start(bed: &Bed, endpoints: &[(String, Endpoint)]) -> Result<Self> {
        let (writes, reads) = (port::free()?, port::free()?);
        let servers: String = endpoints
            .iter()
            .map(|(name, http)| {
                let port = bed.node(name).port;
                format!("    server {name} 127.0.0.1:{port} check port {}\n", http.port)
            })
            .collect();
        // As docs/http.md has it.
        let section = |name: &str, port: u16, path: &str| {
            format!(
                "listen {name}\n    bind 127.0.0.1:{port}\n    option httpchk\n    http-check send meth OPTIONS uri {path}\n    \
                 http-check expect status 200\n    default-server inter 200ms fastinter 100ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}"
            )
        };
        let configuration = format!(
            "global\n    maxconn 200\ndefaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1m\n    timeout server 1m\n    \
             timeout check 1s\n{}{}",
            section("writes", writes, "/primary"),
            section("reads", reads, "/replica?lag=1MB"),
        );
        let path = bed.monitor.directory.join("haproxy.cfg");
        std::fs::write(&path, configuration)?;
        let child = Command::new("/usr/sbin/haproxy")
            .args(["-db", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, writes, reads })
    }

    fn target(port: u16) -> Target {
        Target {
            host: std::net::Ipv4Addr::LOCALHOST,
            port,
            user: "postgres",
            dbname: "postgres",
            password: None,
            tls: None,
        }
    }

    /// The node that a new connection for reads gets to, by its port.
    fn reader(&self) -> Result<u16> {
        let sql = Sql::open(&Self::target(self.reads), std::time::Duration::from_secs(2))?;
        Ok(sql.text("select current_setting('port')")?.parse()?)
    }
}

fn writes_and_reads_through_haproxy(bed: &mut Bed) -> Result<()> {
    let mut endpoints = Vec::new();
    for name in ["n1", "n2", "n3"] {
        endpoints.push((name.to_owned(), add(bed, name, &[])?));
    }
    bed.wait_whole()?;
    let haproxy = Haproxy::start(bed, &endpoints)?;
    let application = Application::new(Audience::ReadWrite, Pace::BRISK);
    let writer = Writer::start(1, Door::here()?, vec![Haproxy::target(haproxy.writes)], application);
    writer.wait_for_ack(WITHIN)?;
    let ports: Vec<u16> = ["n1", "n2", "n3"].iter().map(|name| bed.node(name).port).collect();
    let [n1, n2, n3] = ports[..] else { anyhow::bail!("three nodes") };
    for standby in [n2, n3] {
        wait_for("reads from each standby", WITHIN, || Ok((haproxy.reader()? == standby).then_some(())))?;
    }
    bed.node("n2").sql("select pg_wal_replay_pause()")?;
    bed.node("n1").sql("create table filler as select repeat('x', 500) from generate_series(1, 20000)")?;
    wait_for("the slow standby to be out", WITHIN, || {
        let is_out = (0..4).all(|_| haproxy.reader().is_ok_and(|port| port == n3));
        Ok(is_out.then_some(()))
    })?;
    bed.node("n2").sql("select pg_wal_replay_resume()")?;
    wait_for("the standby to be in again", WITHIN, || Ok((haproxy.reader()? == n2).then_some(())))?;
    // Writes follow a switchover and a loss.
    bed.monitor.autoctl(&["perform", "promotion", "--name", "n2"])?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    bed.wait_whole()?;
    wait_for("reads from the former primary", WITHIN, || Ok((haproxy.reader()? == n1).then_some(())))?;
    bed.node("n2").kill_postmaster()?;
    wait_for("another primary", WITHIN, || {
        Ok(bed.rows()?.iter().any(|row| row.writes() && row.name != "n2").then_some(()))
    })?;
    writer.wait_for_ack(WITHIN)?;
    bed.wait_whole()?;
    let rows = bed.rows()?;
    let primary = rows.iter().find(|row| row.writes()).map(|row| row.name.clone()).unwrap_or_default();
    ensure!(!primary.is_empty(), "no primary");
    bed.verify(&primary, &[writer.stop()])
}
