//! Namespaces, the bridge between them, and its faults.
//!
//! The bridge lives in a namespace of its own, so that no firewall rule of the machine sees its frames, and so that
//! addresses and interface names never clash with those of another cluster.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

use super::process::run;

/// The first part of every namespace's name; the process id of the test follows.
pub(crate) const NAME_PREFIX: &str = "pgaf-e2e-";

/// The third number of addresses, where nothing else is asked for.
const SUBNET: u8 = 7;

/// The network of one cluster: a bridge and the hosts that were joined to it.
pub(crate) struct Network {
    name: String,
    bridge: Namespace,
    /// The third number of its addresses.
    subnet: u8,
}

/// A network namespace, deleted on drop.
pub(crate) struct Namespace {
    name: String,
}

/// A host's place in a network.
pub(crate) struct Link {
    /// The host's namespace.
    pub(crate) namespace: Namespace,
    /// Its only address.
    pub(crate) address: Ipv4Addr,
    pub(super) bridge: String,
    pub(super) port: String,
}

impl Network {
    /// Makes the bridge. `serial` tells apart the networks of one process.
    pub(crate) fn new(serial: usize) -> Result<Self> {
        Self::with_subnet(serial, SUBNET)
    }

    /// The same with addresses of another subnet.
    pub(crate) fn with_subnet(serial: usize, subnet: u8) -> Result<Self> {
        let name = format!("{NAME_PREFIX}{}-{serial}", std::process::id());
        let bridge = Namespace::new(format!("{name}-bridge"))?;
        bridge.ip(&["link", "add", "br0", "type", "bridge", "forward_delay", "0"])?;
        bridge.ip(&["link", "set", "br0", "up"])?;
        Ok(Self { name, bridge, subnet })
    }

    /// Adds a host with an address made of `number`.
    pub(crate) fn join(&self, host: &str, number: u8) -> Result<Link> {
        let namespace = Namespace::new(format!("{}-{host}", self.name))?;
        let address = Ipv4Addr::new(10, 213, self.subnet, number);
        let port = format!("port{number}");
        let cidr = format!("{address}/24");
        self.bridge.ip(&[
            "link",
            "add",
            &port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &namespace.name,
        ])?;
        self.bridge.ip(&["link", "set", &port, "master", "br0", "up"])?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        namespace.ip(&["address", "add", &cidr, "dev", "eth0"])?;
        namespace.ip(&["link", "set", "eth0", "up"])?;
        namespace.ip(&["route", "add", "default", "dev", "eth0"])?;
        Ok(Link { namespace, address, bridge: self.bridge.name.clone(), port })
    }
}

impl Link {
    /// Pulls the host's cable.
    pub(crate) fn cut(&self) -> Result<()> {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "down"])
    }

    /// Plugs it in again.
    pub(crate) fn restore(&self) -> Result<()> {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "up"])
    }

    /// Gives the host another address; the old one is gone. What the host is connected with breaks.
    pub(crate) fn readdress(&mut self, address: Ipv4Addr) -> Result<()> {
        self.namespace.ip(&["address", "del", &format!("{}/24", self.address), "dev", "eth0"])?;
        self.namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        self.namespace.ip(&["route", "replace", "default", "dev", "eth0"])?;
        self.address = address;
        Ok(())
    }

    /// Drops every packet to and from one other address.
    pub(crate) fn block(&self, other: Ipv4Addr) -> Result<()> {
        self.filter("-A", other)
    }

    /// Undoes `block`.
    pub(crate) fn unblock(&self, other: Ipv4Addr) -> Result<()> {
        self.filter("-D", other)
    }

    /// A firewall refuses, with resets, whatever goes to or comes from the host.
    pub(crate) fn reject(&self) -> Result<()> {
        self.reject_all("-A")
    }

    /// Undoes `reject`.
    pub(crate) fn unreject(&self) -> Result<()> {
        self.reject_all("-D")
    }

    fn reject_all(&self, action: &str) -> Result<()> {
        for (chain, side) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            let rule = ["iptables", "-w", action, chain, side, "eth0", "-p", "tcp", "-j", "REJECT"];
            let namespace = ["netns", "exec", &self.namespace.name];
            run(Command::new("ip").args(namespace).args(rule).args(["--reject-with", "tcp-reset"]))?;
        }
        Ok(())
    }

    fn filter(&self, action: &str, other: Ipv4Addr) -> Result<()> {
        for (chain, side) in [("INPUT", "-s"), ("OUTPUT", "-d")] {
            run(Command::new("ip").args(["netns", "exec", &self.namespace.name]).args([
                "iptables",
                "-w",
                action,
                chain,
                side,
                &other.to_string(),
                "-j",
                "DROP",
            ]))?;
        }
        Ok(())
    }
}

impl Namespace {
    fn new(name: String) -> Result<Self> {
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// Its name, as `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn ip(&self, args: &[&str]) -> Result<()> {
        let mut all = vec!["-n", &self.name];
        all.extend(args);
        ip(&all)
    }

    /// Opens a door to it, for threads that shall make connections from there.
    pub(crate) fn door(&self) -> Result<Door> {
        let path = namespace_path(&self.name);
        File::open(&path).map(Door).with_context(|| format!("cannot open {}", path.display()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete_namespace(&self.name);
    }
}

/// An open handle on a namespace.
pub(crate) struct Door(File);

impl Door {
    /// The namespace of the calling thread.
    pub(crate) fn here() -> Result<Self> {
        Ok(Self(File::open("/proc/thread-self/ns/net")?))
    }

    /// Moves the calling thread, and what it starts from now on, through the door. Whoever is there already needs no
    /// right for that.
    pub(crate) fn enter(&self) -> Result<()> {
        let (there, here) = (self.0.metadata()?, File::open("/proc/thread-self/ns/net")?.metadata()?);
        if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
            return Ok(());
        }
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")
    }
}

/// Where `ip netns` keeps a namespace.
pub(crate) fn namespace_path(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}

/// Deletes a namespace; one that is gone already is no error.
pub(crate) fn delete_namespace(name: &str) {
    if let Err(error) = ip(&["netns", "delete", name])
        && namespace_path(name).exists()
    {
        eprintln!("namespace {name} is left behind: {error:#}");
    }
}

fn ip(args: &[&str]) -> Result<()> {
    ensure!(!args.is_empty(), "ip needs arguments");
    run(Command::new("ip").args(args))
}
