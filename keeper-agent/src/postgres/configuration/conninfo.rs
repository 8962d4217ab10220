//! How this node connects to another for replication: the connection strings libpq gets, and its passfile.

use pgaf_core::NodeId;
use pgaf_core::keeper::Following;
use pgaf_core::message::Peer;

use crate::client::{ConnectionString, SslMode};
use crate::postgres::server::{InstanceConfig, PostgresError, files, version};

use super::route::Route;

pub use crate::postgres::server::REPLICATION_ROLE;

/// `primary_conninfo` for a standby of `upstream`. The application name is the slot's: synchronous_standby_names knows a
/// standby by it. From version 17 on a database is named, where a standby reads which logical slots there are.
pub(crate) fn primary(config: &InstanceConfig, upstream: &Route, major: Option<u32>) -> String {
    let mut pairs = to_peer(config, upstream);
    if let Some(node) = config.node {
        pairs.push(("application_name", node.slot_name()));
    }
    if major.is_some_and(|major| major >= version::SYNCS_SLOTS_SINCE) {
        pairs.push(("dbname", config.dbname.clone()));
    }
    join(&pairs)
}

/// For a copy of `upstream`, which streams WAL as well: under a name that no commit waits for, as an incomplete copy
/// must acknowledge none.
pub(crate) fn copying(config: &InstanceConfig, upstream: &Route) -> String {
    let mut pairs = to_peer(config, upstream);
    if let Some(node) = config.node {
        pairs.push(("application_name", format!("pgautofailover_copy_{node}")));
    }
    join(&pairs)
}

/// For a program that connects to a database of `peer`.
pub(crate) fn database(config: &InstanceConfig, upstream: &Route, dbname: &str) -> String {
    let mut pairs = to_peer(config, upstream);
    pairs.push(("dbname", dbname.to_owned()));
    join(&pairs)
}

fn to_peer(config: &InstanceConfig, Route { peer, addresses }: &Route) -> Vec<(&'static str, String)> {
    // The name stays beside each address: certificates are for it.
    let hosts = vec![peer.host.as_str(); addresses.len().max(1)].join(",");
    let mut pairs = vec![("host", hosts)];
    if !addresses.is_empty() {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        pairs.push(("hostaddr", addresses.join(",")));
    }
    pairs.extend([
        ("port", peer.port.to_string()),
        ("user", REPLICATION_ROLE.to_owned()),
        ("connect_timeout", "3".to_owned()),
        ("keepalives_idle", "3".to_owned()),
        ("keepalives_interval", "1".to_owned()),
        ("keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "5000".to_owned()),
        ("sslmode", config.client_ssl.mode.as_str().to_owned()),
    ]);
    // Without a password of ours, libpq looks for one where it always does.
    if config.replication_password.is_some() {
        pairs.push(("passfile", config.passfile().display().to_string()));
    }
    let ssl = &config.client_ssl;
    let files =
        [("sslrootcert", &ssl.root_cert), ("sslcrl", &ssl.crl), ("sslcert", &ssl.cert), ("sslkey", &ssl.key)];
    for (key, file) in files.into_iter().filter(|_| ssl.mode != SslMode::Disable) {
        if let Some(file) = file {
            pairs.push((key, file.display().to_string()));
        }
    }
    pairs
}

fn join(pairs: &[(&'static str, String)]) -> String {
    let quote = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    let words: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    words.join(" ")
}

/// Reads back whom a `primary_conninfo` of ours names; `None` for one that is empty, or was written by others.
pub(crate) fn following(primary_conninfo: &str) -> Option<Following> {
    let peer = upstream(primary_conninfo)?;
    Some(Following { host: peer.host, port: peer.port })
}

/// The node that a `primary_conninfo` of ours names, without its number and name.
pub(crate) fn upstream(primary_conninfo: &str) -> Option<Peer> {
    route(primary_conninfo).map(|route| route.peer)
}

/// The same with the addresses that it has.
fn route(primary_conninfo: &str) -> Option<Route> {
    let target: ConnectionString = primary_conninfo.parse().ok()?;
    (target.user.as_deref()? == REPLICATION_ROLE).then_some(())?;
    let addresses = target.hosts.iter().filter_map(|host| host.address).collect();
    let host = target.hosts.into_iter().next()?;
    let peer = Peer { node: NodeId(0), name: String::new(), host: host.name, port: host.port };
    Some(Route { peer, addresses })
}

/// The same upstream, reached as the configuration says now; `None` when that is not for us to say.
pub(crate) fn renewed(config: &InstanceConfig, primary_conninfo: &str, major: Option<u32>) -> Option<String> {
    config.node?;
    Some(primary(config, &route(primary_conninfo)?, major))
}

/// Writes the file that libpq takes the replication password from; removes it when there is no password.
pub(crate) fn write_passfile(config: &InstanceConfig) -> Result<(), PostgresError> {
    let path = config.passfile();
    files::make_private_directory(&config.state_dir)?;
    match &config.replication_password {
        None => files::remove_if_there(&path),
        Some(password) => {
            let escaped = password.expose().replace('\\', "\\\\").replace(':', "\\:");
            let line = format!("*:*:*:{REPLICATION_ROLE}:{escaped}\n");
            files::replace(&path, line.as_bytes(), 0o600)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(host: &str, addresses: &[&str]) -> Route {
        let peer = Peer { node: NodeId(2), name: "b".to_owned(), host: host.to_owned(), port: 5433 };
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Route { peer, addresses }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = crate::postgres::server::testing::config("/it's \\ here".as_ref());
        let file = |name: &str| Some(std::path::PathBuf::from(format!("/it's \\ {name}")));
        config.node = Some(pgaf_core::NodeId(7));
        config.replication_password = Some(crate::client::Secret::new("p"));
        config.client_ssl.mode = SslMode::VerifyFull;
        config.client_ssl.root_cert = file("ca");
        config.client_ssl.crl = file("crl");
        config.client_ssl.cert = file("cert");
        config.client_ssl.key = file("key");
        for host in ["db one", "192.0.2.1", "2001:db8::1", "/run/it's"] {
            let upstream = upstream(host, &[]);
            for major in [15, 17] {
                let text = primary(&config, &upstream, Some(major));
                assert_eq!(following(&text), Some(Following { host: host.to_owned(), port: 5433 }), "{text}");
            }
        }
    }

    #[test]
    fn a_database_is_named_where_slots_are_kept_in_step() {
        let config = crate::postgres::server::testing::config("/data".as_ref());
        let upstream = upstream("hostb", &[]);
        let of = |major| primary(&config, &upstream, major);
        assert!(!of(Some(16)).contains("dbname"));
        assert_eq!(of(None), of(Some(16)));
        assert!(of(Some(17)).ends_with(" dbname='postgres'"));
        assert_eq!(following(&of(Some(17))), following(&of(Some(15))));
    }

    #[test]
    fn an_upstream_is_reached_as_the_configuration_says_now() {
        let mut config = crate::postgres::server::testing::config("/data".as_ref());
        config.node = Some(pgaf_core::NodeId(1));
        let upstream = upstream("hostb", &[]);
        let before = primary(&config, &upstream, None);
        assert_eq!(renewed(&config, &before, None).as_ref(), Some(&before));
        config.client_ssl.mode = SslMode::VerifyCa;
        assert_eq!(renewed(&config, &before, None), Some(primary(&config, &upstream, None)));
        assert_eq!(renewed(&config, "", None), None);
    }

    #[test]
    fn each_address_stands_beside_the_name() {
        let mut config = crate::postgres::server::testing::config("/data".as_ref());
        config.node = Some(NodeId(1));
        let both = primary(&config, &upstream("hostb", &["192.0.2.1", "2001:db8::1"]), None);
        assert!(
            both.starts_with("host='hostb,hostb' hostaddr='192.0.2.1,2001:db8::1' port='5433' "),
            "{both}"
        );
        assert_eq!(following(&both), Some(Following { host: "hostb".to_owned(), port: 5433 }));
        assert_eq!(renewed(&config, &both, None), Some(both));
        let one = primary(&config, &upstream("hostb", &["192.0.2.1"]), None);
        assert!(one.starts_with("host='hostb' hostaddr='192.0.2.1' "), "{one}");
    }

    #[test]
    fn a_foreign_upstream_is_none_of_ours() {
        assert_eq!(following(""), None);
        assert_eq!(following("host=a port=5432 user=me"), None);
    }
}
