//! Our entries in pg_hba.conf, in two marked blocks: one on top, for the keeper itself and for replication, and one at
//! the bottom, for access that the user's own entries may narrow. What is outside of them is never touched.
//!
//! The gate is a part of the upper block: with it, nobody gets past that block but the keeper, in `template1` where no
//! application works, and those who replicate.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use pgaf_core::message::Peer;

use crate::client;
use crate::config::{AuthMethod, HbaLevel};
use crate::own_address;
use crate::postgres::server::{InstanceConfig, PostgresError, SocketDir, files};
use crate::user;

use super::conninfo::REPLICATION_ROLE;
use super::ident;
use super::settings::Changing;
use super::written::Written;

const TOP_BEGIN: &str = "# pg_autoctl begin: what is changed in this block is overwritten";
const TOP_END: &str = "# pg_autoctl end";
const BOTTOM_BEGIN: &str = "# pg_autoctl access begin: what is changed in this block is overwritten";
const BOTTOM_END: &str = "# pg_autoctl access end";
const PEERS: &str = "# other nodes of the group";
const GATE: &str = "# closed until the monitor says what this node is";

/// How long a host name may take to resolve.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(2);

/// Somebody who may connect, besides the keeper and the other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HbaEntry {
    /// A database, or `all`.
    pub database: String,
    /// A role, or `all`.
    pub user: String,
    /// From where.
    pub address: HbaAddress,
    /// With what proof.
    pub method: AuthMethod,
}

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HbaAddress {
    /// A host name, an address, or a network as `address/bits`.
    Host(String),
    /// The network that this machine is in.
    Lan,
    /// Anywhere.
    Anywhere,
}

/// The parts of pg_hba.conf that are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) is_gated: bool,
    pub(crate) peers: Vec<String>,
    pub(crate) access: Vec<String>,
}

impl Managed {
    /// Reads our blocks from the content of a file.
    fn parse(content: &str) -> Self {
        let block = |begin: &str, end: &str| -> Vec<&str> {
            let inside = content.lines().skip_while(|line| *line != begin).skip(1);
            inside.take_while(|line| *line != end).collect()
        };
        let top = block(TOP_BEGIN, TOP_END);
        Self {
            is_gated: top.contains(&GATE),
            peers: top
                .iter()
                .skip_while(|line| **line != PEERS)
                .skip(1)
                .take_while(|line| **line != GATE)
                .map(|line| (*line).to_owned())
                .collect(),
            access: block(BOTTOM_BEGIN, BOTTOM_END).iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    /// The content with our blocks as they should be.
    fn apply(&self, config: &InstanceConfig, content: &str) -> String {
        let mut top = vec![TOP_BEGIN.to_owned()];
        top.extend(keeper_entries(config, self.is_gated));
        top.push(PEERS.to_owned());
        top.extend(self.peers.iter().cloned());
        if self.is_gated {
            top.push(GATE.to_owned());
            top.push("local all all reject".to_owned());
            top.push("host all all all reject".to_owned());
        }
        top.push(TOP_END.to_owned());
        let mut lines = top;
        lines.extend(foreign_lines(content));
        if !self.access.is_empty() {
            lines.push(BOTTOM_BEGIN.to_owned());
            lines.extend(self.access.iter().cloned());
            lines.push(BOTTOM_END.to_owned());
        }
        lines.join("\n") + "\n"
    }
}

/// A block without an end would take the rest of the file with it: gives the number of the line it begins with.
fn check_blocks(content: &str) -> Result<(), usize> {
    let mut open = None;
    for (number, line) in content.lines().enumerate() {
        match (line, open) {
            (TOP_BEGIN, None) => open = Some((TOP_END, number + 1)),
            (BOTTOM_BEGIN, None) => open = Some((BOTTOM_END, number + 1)),
            (TOP_BEGIN | BOTTOM_BEGIN, Some((_, began))) => return Err(began),
            (line, Some((end, _))) if line == end => open = None,
            _ => {}
        }
    }
    open.map_or(Ok(()), |(_, began)| Err(began))
}

/// Every line outside of our blocks.
fn foreign_lines(content: &str) -> Vec<String> {
    let mut end = None;
    let mut kept = Vec::new();
    for line in content.lines() {
        match (line, end) {
            (TOP_BEGIN, None) => end = Some(TOP_END),
            (BOTTOM_BEGIN, None) => end = Some(BOTTOM_END),
            (line, Some(last)) if line == last => end = None,
            (_, Some(_)) => {}
            (line, None) => kept.push(line.to_owned()),
        }
    }
    kept
}

/// We write no entry for others.
fn is_left_to_the_user(config: &InstanceConfig) -> bool {
    config.hba_level == HbaLevel::None || config.auth == AuthMethod::Skip
}

/// The keeper's own way in.
fn keeper_entries(config: &InstanceConfig, is_gated: bool) -> Vec<String> {
    if is_left_to_the_user(config) && !is_gated {
        return Vec::new();
    }
    vec![own_entry(config, if is_gated { "template1" } else { "all" })]
}

fn own_entry(config: &InstanceConfig, database: &str) -> String {
    let user = quote(&config.superuser);
    match config.socket_dir {
        SocketDir::Nowhere => format!("host {database} {user} samehost trust"),
        _ => {
            let is_same_name = user::name().is_some_and(|name| name == config.superuser);
            let method = match config.auth {
                AuthMethod::Trust => "trust".to_owned(),
                _ if is_same_name => "peer".to_owned(),
                _ => format!("peer map={}", ident::MAP),
            };
            format!("local {database} {user} {method}")
        }
    }
}

/// The entries for the other nodes. The monitor needs none: its probes end before a login.
#[derive(Debug, Default)]
pub(crate) struct PeerEntries {
    lines: Vec<String>,
    /// Host names that do not resolve now.
    unresolved: Vec<String>,
}

impl PeerEntries {
    /// Replaces those of before. What a name resolved to then stays for as long as it does not resolve now: a name
    /// service that is away must not lock a standby out.
    pub(crate) fn apply(self, managed: &mut Managed) {
        let is_needed = |line: &String| self.unresolved.iter().any(|host| line.ends_with(&comment(host)));
        let mut lines = self.lines.clone();
        lines.extend(managed.peers.iter().filter(|line| is_needed(line)).cloned());
        managed.peers = lines;
    }

    fn add(&mut self, host: &str, addresses: &Addresses, line_for: impl Fn(&str) -> String) {
        match addresses {
            Addresses::Given(address) => self.lines.push(line_for(address)),
            Addresses::Resolved(found) => {
                self.lines.extend(found.iter().map(|address| line_for(address) + &comment(host)));
            }
        }
    }
}

/// Says which name an address is of.
fn comment(host: &str) -> String {
    format!(" # {host}")
}

/// The entries that let these nodes replicate from here.
pub(crate) async fn peer_entries(config: &InstanceConfig, peers: &[Peer]) -> PeerEntries {
    let mut entries = PeerEntries::default();
    if is_left_to_the_user(config) {
        return entries;
    }
    for peer in peers {
        let addresses = addresses(&peer.host).await;
        for database in ["replication", "all"] {
            let user = quote(REPLICATION_ROLE);
            let line = |address: &str| host_line(config, database, &user, address, config.auth);
            entries.add(&peer.host, &addresses, line);
        }
        entries.unresolved.extend(addresses.is_unresolved().then(|| peer.host.clone()));
    }
    for host in &config.formation_hosts {
        let addresses = addresses(host).await;
        let (database, user) = (quote(&config.dbname), quote(&config.superuser));
        entries.add(host, &addresses, |address| host_line(config, &database, &user, address, config.auth));
        entries.unresolved.extend(addresses.is_unresolved().then(|| host.clone()));
    }
    entries
}

/// The lines for entries that the user's own may narrow.
pub(crate) async fn access_entries(
    config: &InstanceConfig,
    entries: &[HbaEntry],
) -> Result<Vec<String>, PostgresError> {
    if is_left_to_the_user(config) {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for entry in entries {
        let found = match &entry.address {
            HbaAddress::Host(host) => addresses(host).await.into_all(),
            HbaAddress::Anywhere => vec!["all".to_owned()],
            HbaAddress::Lan => vec![local_network(config).await?],
        };
        for address in found {
            lines.push(host_line(
                config,
                &quote(&entry.database),
                &quote(&entry.user),
                &address,
                entry.method,
            ));
        }
    }
    Ok(lines)
}

async fn local_network(config: &InstanceConfig) -> Result<String, PostgresError> {
    let found = own_address::local_network(&config.hostname, config.monitor_host.as_deref()).await;
    found.ok_or_else(|| {
        PostgresError::Refused(format!(
            "could not find the local network for pg_hba.conf: no network interface has the address of \"{}\", and there is no route to other machines; give --hostname an address of this machine, or write pg_hba.conf yourself with --skip-pg-hba",
            config.hostname
        ))
    })
}

fn host_line(
    config: &InstanceConfig,
    database: &str,
    user: &str,
    address: &str,
    method: AuthMethod,
) -> String {
    let kind = if config.server_ssl.active { "hostssl" } else { "host" };
    format!("{kind} {database} {user} {address} {method}")
}

/// What stands for a host. A name is never written: for each one, Postgres would ask the name service about every
/// client that connects, whoever that is, and would keep all of them waiting when it does not answer. So its addresses
/// are written, and looked at again.
enum Addresses {
    /// It is an address, or a network.
    Given(String),
    /// What the name resolves to now, if anything.
    Resolved(Vec<String>),
}

impl Addresses {
    const fn is_unresolved(&self) -> bool {
        matches!(self, Self::Resolved(found) if found.is_empty())
    }

    fn into_all(self) -> Vec<String> {
        match self {
            Self::Given(address) => vec![address],
            Self::Resolved(found) => found,
        }
    }
}

async fn addresses(host: &str) -> Addresses {
    if host.contains('/') || host.parse::<IpAddr>().is_ok() {
        return Addresses::Given(with_bits(host));
    }
    let resolved = resolve(host).await;
    Addresses::Resolved(resolved.iter().map(|address| with_bits(&address.to_string())).collect())
}

fn with_bits(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => address.to_owned(),
    }
}

/// The addresses of a host name, in order; none when nobody knows any.
pub(crate) async fn resolve(host: &str) -> Vec<IpAddr> {
    match client::addresses(host, RESOLVE_DEADLINE).await {
        Ok(mut found) => {
            found.sort_unstable();
            found
        }
        Err(error) => {
            tracing::warn!("{error}");
            Vec::new()
        }
    }
}

/// Keywords stay bare; everything else is a name, whatever is in it.
fn quote(name: &str) -> String {
    match name {
        "all" | "replication" => name.to_owned(),
        _ => format!("\"{}\"", name.replace('"', "")),
    }
}

/// How roles other than the keeper's prove locally who they are, in the pg_hba.conf that initdb has written. It takes no
/// method that needs a password, as there is none yet. Where the user writes the entries, the keeper's own is the first of
/// those to begin with.
pub(crate) fn set_local_method(
    config: &InstanceConfig,
    path: &Path,
    method: &str,
) -> Result<(), PostgresError> {
    let content = files::read_if_there(path)?.unwrap_or_default();
    let change = |line: &str| match line.strip_suffix("peer").filter(|_| line.starts_with("local")) {
        Some(rest) => format!("{rest}{method}\n"),
        None => format!("{line}\n"),
    };
    let needs_entry = is_left_to_the_user(config) && method != "trust";
    let own = if needs_entry { own_entry(config, "all") + "\n" } else { String::new() };
    let lines: String = content.lines().map(change).collect();
    files::replace(path, (own + &lines).as_bytes(), 0o600)
}

/// Brings the files to where the server is told to look for them, from where the settings of its owner have them.
pub(crate) fn bring(config: &InstanceConfig, written: &Written) -> Result<(), PostgresError> {
    for (setting, name) in [("hba_file", "pg_hba.conf"), ("ident_file", "pg_ident.conf")] {
        let target = config.in_pgdata(name);
        if target.exists() {
            continue;
        }
        let content = match written.get(setting) {
            Some(entry) => files::read_if_there(&config.in_pgdata(&entry.value))?,
            None => None,
        };
        files::replace(&target, content.unwrap_or_default().as_bytes(), 0o600)?;
    }
    Ok(())
}

/// Changes our part of pg_hba.conf, and of pg_ident.conf; false when both were right already. Whether the gate is closed is
/// not for the file to say, which others may have replaced.
pub(crate) fn update(
    config: &InstanceConfig,
    change: impl FnOnce(&mut Managed),
) -> Result<bool, PostgresError> {
    let path = config.in_pgdata("pg_hba.conf");
    let content = files::read_if_there(&path)?.unwrap_or_default();
    check_blocks(&content).map_err(|line| {
        PostgresError::Refused(format!(
            "line {line} of \"{}\" begins a block of pg_autoctl that does not end: add its last line, which is \"{TOP_END}\" or \"{BOTTOM_END}\", or remove its first line",
            path.display()
        ))
    })?;
    let mut managed = Managed::parse(&content);
    managed.is_gated = Changing::read(&config.pgdata)?.is_gated;
    change(&mut managed);
    let is_map_new = config.auth != AuthMethod::Trust && ident::update(config)?;
    let wanted = managed.apply(config, &content);
    files::replace(&path, wanted.as_bytes(), 0o600)?;
    Ok(is_map_new || wanted != content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::testing::config;

    #[test]
    fn what_is_not_ours_stays_as_it_is() {
        let theirs = "# mine\nlocal all all md5\n\nhost all all all md5\n";
        let mut managed = Managed {
            is_gated: true,
            peers: vec!["host replication \"r\" 192.0.2.3/32 trust".to_owned()],
            access: vec!["host all all 192.0.2.0/24 md5".to_owned()],
        };
        let config = config("/data".as_ref());
        let gated = managed.apply(&config, theirs);
        assert_eq!(Managed::parse(&gated), managed);
        assert_eq!(foreign_lines(&gated).join("\n") + "\n", theirs);
        assert!(gated.contains("local template1 "));
        managed.is_gated = false;
        let open = managed.apply(&config, &gated);
        assert_eq!(Managed::parse(&open), managed);
        assert!(!open.contains("reject"));
        assert_eq!(managed.apply(&config, &open), open, "idempotent");
    }

    #[test]
    fn the_gate_is_closed_also_where_the_user_writes_the_entries() {
        let mut config = config("/data".as_ref());
        config.hba_level = HbaLevel::None;
        let mut managed = Managed::default();
        assert!(!managed.apply(&config, "").contains("local"));
        managed.is_gated = true;
        assert!(managed.apply(&config, "").contains("reject"));
    }

    #[test]
    fn a_block_without_an_end_is_told_and_deletes_nothing() {
        let block = format!("{TOP_BEGIN}\nlocal all all trust\n");
        assert_eq!(check_blocks(&format!("{block}{TOP_END}\nhost all all all md5\n")), Ok(()));
        assert_eq!(check_blocks(&format!("# mine\n{block}host all all all md5\n")), Err(2));
        assert_eq!(check_blocks(&format!("{block}{BOTTOM_BEGIN}\n{BOTTOM_END}\n")), Err(1));
    }

    #[tokio::test]
    async fn an_address_is_one_host() {
        let all = async |host: &str| addresses(host).await.into_all();
        assert_eq!(all("192.0.2.3").await, ["192.0.2.3/32"]);
        assert_eq!(all("2001:db8::1").await, ["2001:db8::1/128"]);
        assert_eq!(all("192.0.2.0/24").await, ["192.0.2.0/24"]);
        assert!(all("localhost").await.contains(&"127.0.0.1/32".to_owned()));
    }

    #[test]
    fn a_name_that_does_not_resolve_keeps_its_addresses() {
        let known = "host all \"r\" 192.0.2.3/32 trust # n2".to_owned();
        let mut managed = Managed { peers: vec![known.clone(), "old".to_owned()], ..Managed::default() };
        let lines = vec!["new".to_owned()];
        PeerEntries { lines, unresolved: vec!["n2".to_owned()] }.apply(&mut managed);
        assert_eq!(managed.peers, ["new".to_owned(), known]);
        PeerEntries::default().apply(&mut managed);
        assert_eq!(managed.peers, Vec::<String>::new());
    }
}
