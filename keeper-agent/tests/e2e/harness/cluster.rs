//! A monitor and its data nodes, and the client that watches them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::citus::Formation;
use super::host::{Host, give_to_postgres};
use super::ledger::{Ledger, parse_rows, verify_ledgers};
use super::network::{Door, Link, Network};
use super::reader::Reader;
use super::security::{Auth, Authority, Security, Tls};
use super::sql::{Sql, Target};
use super::sweep::{is_kept, remove_directory, run_directory};
use super::tools::Tools;
use super::wait::wait_for;
use super::workload::TABLE_DDL;
use super::writer::{Application, Audience, Pace, Writer};

/// How long a monitor or a node may take until it is up for the first time.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// What a cluster is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// How many data nodes; they are called n1, n2 and so on.
    pub(crate) nodes: usize,
    /// The same for every connection.
    pub(crate) security: Security,
    /// Variables that the programs of every host get.
    pub(crate) environment: Vec<(String, String)>,
    /// Options that single nodes are created with, by their names.
    pub(crate) options: Vec<(&'static str, &'static [&'static str])>,
    /// It begins with pg_auto_failover 2.x.
    pub(crate) is_older: bool,
    /// A Citus formation in place of `nodes`.
    pub(crate) formation: Option<Formation>,
    /// Three monitors in the place of one.
    pub(crate) has_three_monitors: bool,
    /// The third of them has no server.
    pub(crate) has_witness: bool,
    /// Files of this machine that the scenario is skipped without.
    pub(crate) needs: &'static [&'static str],
}

impl Setup {
    /// So many data nodes, no TLS, no passwords.
    pub(crate) fn nodes(nodes: usize) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// The node of that name is created with these options.
    pub(crate) fn with(mut self, name: &'static str, options: &'static [&'static str]) -> Self {
        self.options.push((name, options));
        self
    }

    /// The first of the files that it needs and that are not there.
    pub(crate) fn lacks(&self) -> Option<String> {
        let missing = self.needs.iter().find(|file| !Path::new(file).exists())?;
        Some(format!("there is no {missing}"))
    }

    pub(super) fn options_of(&self, name: &str) -> &'static [&'static str] {
        self.options.iter().find(|(of, _)| *of == name).map_or(&[], |(_, options)| options)
    }
}

/// A running cluster; taken down on drop. The thread that made it is in the client's namespace until then.
pub(crate) struct Cluster {
    /// The host of the monitor, or of the first of three.
    pub(crate) monitor: Host,
    /// The hosts of the other monitors, where there are three.
    pub(crate) other_monitors: Vec<Host>,
    /// The hosts of the data nodes; the first is that of n1.
    pub(crate) nodes: Vec<Host>,
    /// What it was made of.
    pub(crate) setup: Setup,
    /// All its files.
    pub(crate) directory: PathBuf,
    tools: Tools,
    authority: Option<Authority>,
    writers_started: usize,
    pub(super) watch: RefCell<Option<Sql>>,
    client: Link,
    network: Network,
    came_from: Door,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl Cluster {
    /// A cluster with all nodes up: n1 primary (or single), the others secondary.
    pub(crate) fn start(tools: &Tools, setup: Setup) -> Result<Self> {
        let mut cluster = Self::with_monitor(tools, setup)?;
        cluster.bring_up()?;
        Ok(cluster)
    }

    /// Adds the nodes and waits until all are up.
    pub(crate) fn bring_up(&mut self) -> Result<()> {
        let brought_up = self.add_nodes();
        brought_up.map_err(|error| error.context(self.dump()))
    }

    /// The first node, then all the others at once.
    fn add_nodes(&mut self) -> Result<()> {
        if let Some(formation) = self.setup.formation {
            return self.add_formation(formation);
        }
        for number in 1..=self.setup.nodes {
            let name = format!("n{number}");
            self.add_node(&name, self.setup.options_of(&name))?;
            if number == 1 {
                self.wait_states(&[("n1", "single")], START_DEADLINE)?;
                self.prepare_database()?;
            }
        }
        if self.setup.nodes > 1 {
            self.wait_whole(START_DEADLINE)?;
            self.wait_close(START_DEADLINE)?;
        }
        Ok(())
    }

    /// Puts the files of this build in the place of those of 2.x, as a package manager does: nothing is restarted.
    pub(crate) fn install_ours(&self) -> Result<()> {
        self.tools.install_ours()
    }

    /// Puts the files of 2.x in the place of those of this build.
    pub(crate) fn install_older(&self) -> Result<()> {
        self.tools.install_older()
    }

    /// Where the servers find the scripts of extensions.
    pub(crate) fn extension_directory(&self) -> Result<PathBuf> {
        self.tools.extension_directory()
    }

    /// A network with a monitor and no data nodes.
    pub(crate) fn with_monitor(tools: &Tools, setup: Setup) -> Result<Self> {
        static SERIAL: AtomicUsize = AtomicUsize::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let directory = run_directory().join(format!("c{serial}"));
        fs::create_dir_all(&directory)?;
        let network = Network::new(serial)?;
        let client = network.join("client", 100)?;
        let name = if setup.has_three_monitors { "m1" } else { "monitor" };
        let monitor = Host::new(&network, tools, &directory, name, 1)?;
        let came_from = Door::here()?;
        client.namespace.door()?.enter()?;
        let has_three = setup.has_three_monitors;
        let mut cluster = Self {
            monitor,
            other_monitors: Vec::new(),
            nodes: Vec::new(),
            setup,
            directory,
            tools: tools.clone(),
            authority: None,
            writers_started: 0,
            watch: RefCell::new(None),
            client,
            network,
            came_from,
            stays_on_its_thread: PhantomData,
        };
        if has_three {
            cluster.start_monitors()?;
        } else {
            cluster.start_monitor()?;
        }
        Ok(cluster)
    }

    fn start_monitor(&mut self) -> Result<()> {
        if self.setup.security.tls == Tls::VerifyFull && self.authority.is_none() {
            self.authority = Some(Authority::new()?);
        }
        self.equip(&self.monitor)?;
        self.monitor.environment.clone_from(&self.setup.environment);
        let args = self.monitor_args();
        self.monitor.start(&args)?;
        wait_for("the monitor to have its extension", START_DEADLINE, || {
            if let Some(status) = self.monitor.keeper_ended()? {
                return Ok(Some(Err(status)));
            }
            self.monitor.psql("pg_auto_failover", "select count(*) from pgautofailover.formation")?;
            Ok(Some(Ok(())))
        })
        .and_then(|ended| ended.map_err(|status| anyhow::anyhow!("`create monitor` ended: {status}")))
        .with_context(|| self.dump())?;
        if self.setup.security.auth == Auth::Scram {
            let sql = format!("alter role autoctl_node password '{}'", Security::PASSWORD);
            self.monitor.psql("postgres", &sql)?;
        }
        Ok(())
    }

    /// A new, empty monitor on a host of its own takes the place of the one there was, whose host is returned.
    pub(crate) fn replace_monitor(&mut self) -> Result<Host> {
        let host = Host::new(&self.network, &self.tools, &self.directory, "monitor2", 2)?;
        let replaced = std::mem::replace(&mut self.monitor, host);
        self.forget_watch();
        self.start_monitor()?;
        Ok(replaced)
    }

    /// A host that is no data node.
    pub(super) fn make_host(&self, name: &str, number: u8) -> Result<Host> {
        let mut host = Host::new(&self.network, &self.tools, &self.directory, name, number)?;
        self.equip(&host)?;
        host.environment.clone_from(&self.setup.environment);
        Ok(host)
    }

    /// Puts certificates on a host when the cluster has an authority.
    fn equip(&self, host: &Host) -> Result<()> {
        if let Some(authority) = &self.authority {
            for file in authority.issue(host.address(), &host.directory.join("tls"))? {
                give_to_postgres(&file)?;
                fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            }
        }
        Ok(())
    }

    fn monitor_args(&self) -> Vec<String> {
        let address = self.monitor.address().to_string();
        let mut args = strings(&["create", "monitor", "--pgport", "5432", "--hostname", &address]);
        args.extend(self.setup.security.options(&self.monitor.directory.join("tls")));
        args.push("--run".to_owned());
        args
    }

    /// A new host with nothing on it yet, last in `nodes`.
    pub(crate) fn add_host(&mut self, name: &str) -> Result<&mut Host> {
        let number = u8::try_from(11 + self.nodes.len())?;
        let mut host = Host::new(&self.network, &self.tools, &self.directory, name, number)?;
        self.equip(&host)?;
        host.environment.clone_from(&self.setup.environment);
        host.environment.extend(self.setup.formation.iter().flat_map(Formation::environment));
        self.nodes.push(host);
        self.nodes.last_mut().context("no host")
    }

    /// A new host whose node is created and started; does not wait for it.
    pub(crate) fn add_node(&mut self, name: &str, options: &[&str]) -> Result<()> {
        self.add_host(name)?;
        let mut args = self.create_args(self.host(name)?);
        args.extend(strings(options));
        if self.setup.security.auth == Auth::Scram {
            let host = self.host(name)?;
            host.autoctl(&args)?.success()?;
            host.autoctl(&["config", "set", "replication.password", Security::PASSWORD])?.success()?;
            return self.host_mut(name)?.run();
        }
        args.push("--run".to_owned());
        self.host_mut(name)?.start(&args)
    }

    /// The arguments of `pg_autoctl create` on a host.
    pub(crate) fn create_args(&self, host: &Host) -> Vec<String> {
        let address = host.address().to_string();
        let uri = self.monitor_uri(host);
        let mut args = match self.setup.formation {
            None => strings(&["create", "postgres", "--pg-hba-lan"]),
            Some(formation) => formation.create(&host.name),
        };
        args.extend(strings(&[
            "--pgport",
            "5432",
            "--hostname",
            &address,
            "--name",
            &host.name,
            "--monitor",
            &uri,
        ]));
        args.extend(self.setup.security.options(&host.directory.join("tls")));
        args
    }

    /// The monitor's URI as a node on that host is told it.
    pub(crate) fn monitor_uri(&self, host: &Host) -> String {
        let security = self.setup.security;
        let hosts: Vec<String> = self.monitors().map(|host| format!("{}:5432", host.address())).collect();
        let parameters = security.uri_parameters(&host.directory.join("tls"));
        let parameters = match (hosts.len(), parameters.as_str()) {
            (1, _) => parameters,
            (_, "") => "?target_session_attrs=read-write".to_owned(),
            (_, others) => format!("{others}&target_session_attrs=read-write"),
        };
        let (password, hosts) = (security.uri_password(), hosts.join(","));
        format!("postgres://autoctl_node{password}@{hosts}/pg_auto_failover{parameters}")
    }

    /// Makes the table that writers write to, on the first node.
    pub(crate) fn prepare_database(&self) -> Result<()> {
        self.prepare_database_on(self.nodes.first().context("no node")?)
    }

    /// The same on another node, which is the primary.
    pub(crate) fn prepare_database_on(&self, host: &Host) -> Result<()> {
        host.psql("postgres", TABLE_DDL)?;
        if self.setup.security.auth == Auth::Scram {
            let sql = format!("create role app login password '{}' in role pg_monitor", Security::PASSWORD);
            host.psql("postgres", &sql)?;
        }
        Ok(())
    }

    /// The host of the node with that name.
    pub(crate) fn host(&self, name: &str) -> Result<&Host> {
        let host = self.nodes.iter().find(|host| host.name == name);
        host.with_context(|| format!("no host is called {name}"))
    }

    /// The same, to change what runs on it.
    pub(crate) fn host_mut(&mut self, name: &str) -> Result<&mut Host> {
        let host = self.nodes.iter_mut().find(|host| host.name == name);
        host.with_context(|| format!("no host is called {name}"))
    }

    /// How to reach the monitor from the client.
    pub(crate) fn monitor_target(&self) -> Target {
        Target {
            host: self.leading_monitor().map_or_else(|| self.monitor.address(), Host::address),
            port: 5432,
            user: "autoctl_node",
            dbname: "pg_auto_failover",
            password: self.setup.security.password(),
            tls: self.tls(),
        }
    }

    /// How an application reaches a node.
    pub(crate) fn target(&self, host: &Host) -> Target {
        let (user, dbname) = match (self.setup.formation, self.setup.security.auth) {
            (Some(_), _) => (Formation::USER, Formation::DATABASE),
            (None, Auth::Scram) => ("app", "postgres"),
            (None, Auth::Trust) => ("postgres", "postgres"),
        };
        Target {
            host: host.address(),
            port: 5432,
            user,
            dbname,
            password: self.setup.security.password(),
            tls: self.tls(),
        }
    }

    fn tls(&self) -> Option<Option<PathBuf>> {
        match self.setup.security.tls {
            Tls::Off => None,
            Tls::SelfSigned => Some(None),
            Tls::VerifyFull => Some(Some(self.monitor.directory.join("tls/ca.crt"))),
        }
    }

    /// Starts a client outside the cluster that knows all nodes, in their order.
    pub(crate) fn writer(&mut self) -> Result<Writer> {
        let targets = self.nodes.iter().map(|host| self.target(host)).collect();
        let door = self.client.namespace.door()?;
        self.start_writer(door, targets, Application::new(Audience::ReadWrite, Pace::BRISK))
    }

    /// The same of an application that gives up on a dead socket, and on a host that does not answer, after this long.
    pub(crate) fn hasty_writer(&mut self, patience: Duration) -> Result<Writer> {
        let targets = self.nodes.iter().map(|host| self.target(host)).collect();
        let door = self.client.namespace.door()?;
        let usual = Application::new(Audience::ReadWrite, Pace::BRISK);
        self.start_writer(door, targets, Application { patience, ..usual })
    }

    /// The address of the clients.
    pub(crate) fn client_address(&self) -> Ipv4Addr {
        self.client.address
    }

    /// A way into the namespace of the clients.
    pub(crate) fn client_door(&self) -> Result<Door> {
        self.client.namespace.door()
    }

    /// Starts a client on a node's own host, that writes to this node whatever happens around it.
    pub(crate) fn local_writer(&mut self, name: &str) -> Result<Writer> {
        let host = self.host(name)?;
        let (door, target) = (host.link.namespace.door()?, self.target(host));
        self.start_writer(door, vec![target], Application::new(Audience::Any, Pace::BRISK))
    }

    /// Starts a client that reads from one node.
    pub(crate) fn reader(&self, name: &str, query: &'static str) -> Result<Reader> {
        Ok(Reader::start(self.client.namespace.door()?, self.target(self.host(name)?), query))
    }

    pub(super) fn start_writer(
        &mut self,
        door: Door,
        targets: Vec<Target>,
        application: Application,
    ) -> Result<Writer> {
        self.writers_started += 1;
        let writer = Writer::start(self.writers_started, door, targets, application);
        writer.wait_for_ack(Duration::from_secs(20))?;
        Ok(writer)
    }

    /// Every acknowledged row is on the server that is primary now, and there never were two of them.
    pub(crate) fn verify(&self, ledgers: &[Ledger]) -> Result<()> {
        let primary = wait_for("a primary to verify", START_DEADLINE, || self.primary().map(Some))?;
        self.verify_on(&primary, ledgers)
    }

    /// The same, when the monitor is not the one to ask who is primary.
    pub(crate) fn verify_on(&self, primary: &str, ledgers: &[Ledger]) -> Result<()> {
        let present = rows_of(self.host(primary)?, "postgres", "select writer, value from ledger")?;
        verify_ledgers(&present, primary, ledgers)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.came_from.enter() {
            eprintln!("{error:#}");
        }
        for host in self.nodes.iter_mut().chain([&mut self.monitor]).chain(&mut self.other_monitors) {
            if let Err(error) = host.kill_everything() {
                eprintln!("{}: {error:#}", host.name);
            }
        }
        if !is_kept() {
            remove_directory(&self.directory);
        }
    }
}

/// The writers and values that a query finds.
pub(super) fn rows_of(host: &Host, dbname: &str, sql: &str) -> Result<BTreeSet<(usize, u64)>> {
    parse_rows(&host.psql(dbname, sql)?)
}

pub(super) fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// Where a file of a host lies relative to its cluster, for messages.
pub(crate) fn relative(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}
