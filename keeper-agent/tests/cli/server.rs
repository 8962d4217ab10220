//! A plain Postgres that can play a monitor.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::Pid;

use crate::bed::{Bed, as_user, free_port};

pub(crate) struct Server<'a> {
    bed: &'a Bed,
    pub(crate) port: u16,
}

/// Where Postgres's programs are.
pub(crate) fn bin_dir() -> PathBuf {
    let pg_config = std::env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
    let output = Command::new(pg_config).arg("--bindir").output().expect("pg_config runs");
    String::from_utf8(output.stdout).expect("a path").trim().into()
}

impl<'a> Server<'a> {
    /// Makes and starts one that asks for the password "right" over TCP, with a role and a database for nodes.
    pub(crate) fn start(bed: &'a Bed) -> Self {
        let server = Self { bed, port: free_port() };
        server.program("initdb", ["--username=postgres", "--no-sync", "--auth=trust"]);
        let hba = "local all all trust\nhost all all all scram-sha-256\n";
        std::fs::write(server.pgdata().join("pg_hba.conf"), hba).expect("written");
        server.go_on();
        server.sql("postgres", "CREATE ROLE autoctl_node LOGIN PASSWORD 'right'");
        server.sql("postgres", "CREATE DATABASE pg_auto_failover");
        server
    }

    /// Starts it again after `halt`.
    pub(crate) fn go_on(&self) {
        let directory = self.bed.path("");
        let options = format!("-c port={} -c fsync=off -k {}", self.port, directory.display());
        self.program("pg_ctl", ["start", "--wait", "--log=server.log", &format!("--options={options}")]);
    }

    /// Stops it.
    pub(crate) fn halt(&self) {
        self.program("pg_ctl", ["stop", "--mode=immediate"]);
    }

    /// Its processes that a client notices: the one that lets clients in, and those that serve `pg_autoctl`.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let pid_file = std::fs::read_to_string(self.pgdata().join("postmaster.pid")).expect("it runs");
        let postmaster = pid_file.lines().next().expect("a line").to_owned();
        let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_autoctl'";
        let clients = self.sql("postgres", query);
        std::iter::once(postmaster.as_str())
            .chain(clients.lines())
            .map(|pid| Pid::from_raw(pid.trim().parse().expect("a process id")))
            .collect()
    }

    /// Makes it answer as a monitor of this version would.
    pub(crate) fn play_monitor(self, version: &str) -> Self {
        let row = format!(
            "SET allow_system_table_mods = on; INSERT INTO pg_extension \
             (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
             VALUES (99999, 'pgautofailover', 10, 2200, false, '{version}')"
        );
        self.sql("pg_auto_failover", &row);
        self.sql("pg_auto_failover", include_str!("monitor.sql"));
        self
    }

    /// As nodes connect.
    pub(crate) fn uri(&self) -> String {
        format!("postgres://autoctl_node:right@127.0.0.1:{}/pg_auto_failover", self.port)
    }

    fn pgdata(&self) -> PathBuf {
        self.bed.path("server")
    }

    fn program<'b>(&self, name: &str, arguments: impl IntoIterator<Item = &'b str>) {
        let status = as_user(bin_dir().join(name))
            .arg("-D")
            .arg(self.pgdata())
            .args(arguments)
            .current_dir(self.bed.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("it runs").success(), "{name} failed");
    }

    /// As the monitor itself changes something; all statements in one transaction.
    pub(crate) fn change(&self, statements: impl Display) {
        self.sql("pg_auto_failover", statements);
    }

    /// Asks it something, as psql prints it.
    pub(crate) fn ask(&self, query: &str) -> String {
        self.sql("pg_auto_failover", query)
    }

    /// Gives what it prints.
    fn sql(&self, dbname: &str, statements: impl Display) -> String {
        let output = as_user("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-p",
                &self.port.to_string(),
            ])
            .arg("-h")
            .arg(self.bed.path(""))
            .args(["-d", dbname, "-c", &statements.to_string()])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.halt();
    }
}
