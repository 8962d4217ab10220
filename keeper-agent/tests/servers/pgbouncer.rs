//! A real PgBouncer on a loopback port, with one configuration file for each node.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::bed::{Bed, WITHIN};
use crate::harness::{give_to_postgres, run_to_end, signal, wait_for};
use crate::node::Node;
use crate::port;

/// A question to the console may take this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pooler that runs; ended on drop.
pub(crate) struct PgBouncer {
    pub(crate) port: u16,
    process: Child,
}

impl PgBouncer {
    /// Starts one that sends its clients to n1, and tells all nodes of it.
    pub(crate) fn start(bed: &Bed) -> Result<Self> {
        let (port, monitor) = (port::free()?, &bed.monitor);
        for node in &bed.nodes {
            let path = Self::file(bed, &node.name);
            let content = format!(
                "[databases]\napp = host=127.0.0.1 port={} dbname=postgres user=postgres\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 admin_users = admin\npool_mode = transaction\ndefault_pool_size = 8\nserver_login_retry = 1\n",
                node.port
            );
            fs::write(&path, content)?;
            give_to_postgres(std::path::Path::new(&path))?;
        }
        let process = monitor
            .command("/usr/sbin/pgbouncer", &[Self::file(bed, "n1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(monitor.directory.join("pgbouncer.log"))?)
            .spawn()
            .context("pgbouncer; is it installed?")?;
        let pooler = Self { port, process };
        wait_for("the pooler to answer", WITHIN, || pooler.console(monitor, "SHOW VERSION").map(Some))?;
        for node in &bed.nodes {
            let admin = format!("postgres://admin@127.0.0.1:{port}/pgbouncer");
            node.autoctl(&["config", "set", "pooler.admin", &admin])?;
            node.autoctl(&["config", "set", "pooler.conffile", &Self::file(bed, &node.name)])?;
            node.autoctl(&["config", "set", "pooler.databases", "app"])?;
            node.autoctl(&["reload"])?;
        }
        wait_for("the nodes to know the pooler", WITHIN, || {
            let said = bed.node("n1").said()?;
            Ok(said.contains("have the poolers send clients here").then_some(()))
        })?;
        Ok(pooler)
    }

    fn file(bed: &Bed, node: &str) -> String {
        bed.monitor.directory.join(format!("to-{node}.ini")).display().to_string()
    }

    /// Asks the admin console.
    pub(crate) fn console(&self, from: &Node, command: &str) -> Result<String> {
        run_to_end(&mut self.psql(from, "admin", "pgbouncer", command), PATIENCE)?.success()
    }

    /// A client that sends this to whoever is the primary for the pooler.
    pub(crate) fn client(&self, from: &Node, sql: &str) -> Command {
        self.psql(from, "postgres", "app", sql)
    }

    fn psql(&self, from: &Node, user: &str, dbname: &str, sql: &str) -> Command {
        let port = self.port.to_string();
        let args = ["-XAtq", "-h", "127.0.0.1", "-p", &port, "-U", user, "-d", dbname, "-c", sql];
        from.command("psql", &args)
    }

    /// The port that clients are sent to.
    pub(crate) fn target(&self, from: &Node) -> Result<u16> {
        let databases = self.console(from, "SHOW DATABASES")?;
        let line = databases.lines().find(|line| line.starts_with("app|")).context("database app")?;
        Ok(line.split('|').nth(2).context("a port")?.parse()?)
    }

    /// Waits until clients are sent to that node.
    pub(crate) fn wait_target(&self, bed: &Bed, name: &str) -> Result<()> {
        wait_for(&format!("the pooler to send its clients to {name}"), WITHIN, || {
            let port = self.target(&bed.monitor)?;
            ensure!(port == bed.node(name).port, "it sends them to port {port}");
            Ok(Some(()))
        })
    }

    /// Has it answer nothing, or go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        signal(self.process.id() as i32, if frozen { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Ends it, and starts it again with the file for n1.
    pub(crate) fn restart(&mut self, bed: &Bed) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = bed
            .monitor
            .command("/usr/sbin/pgbouncer", &[Self::file(bed, "n1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
