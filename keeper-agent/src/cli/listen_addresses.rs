//! Whether other nodes reach a server where it listens.

use std::net::{IpAddr, ToSocketAddrs};

use super::error::{CliError, CliResult};
use crate::exit::Exit;

/// The addresses, if other nodes reach this host at one of them.
pub(super) fn checked_listen_addresses(given: &str, hostname: &str) -> CliResult<String> {
    if is_reachable(given, hostname) {
        return Ok(given.to_owned());
    }
    Err(CliError::new(
        Exit::BadConfig,
        format!(
            "listen_addresses '{given}' is not reachable for other nodes, which connect to \"{hostname}\": use '*', or an address of that host"
        ),
    ))
}

/// Not only the machine itself reaches a server there, or the host is only meant for that.
pub(super) fn is_reachable(listen_addresses: &str, hostname: &str) -> bool {
    let addresses = |name: &str| -> Vec<IpAddr> {
        let found = (name, 0).to_socket_addrs().into_iter().flatten();
        found.map(|address| address.ip()).collect()
    };
    let mut items = listen_addresses.split(',').map(|item| item.trim().trim_matches('"'));
    let host = addresses(hostname);
    if !host.is_empty() && host.iter().all(IpAddr::is_loopback) {
        return items.any(|item| !item.is_empty());
    }
    items.filter(|item| !item.is_empty()).any(|item| {
        let found = addresses(item);
        // What does not resolve is for Postgres to complain about.
        item == "*" || found.is_empty() || found.iter().any(|address| !address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_only_its_machine_reaches() {
        for (listen_addresses, hostname, expected) in [
            ("*", "192.0.2.1", true),
            ("localhost", "192.0.2.1", false),
            ("127.0.0.1, ::1", "192.0.2.1", false),
            ("", "192.0.2.1", false),
            ("", "127.0.0.1", false),
            ("localhost", "127.0.0.1", true),
            ("localhost,192.0.2.1", "192.0.2.1", true),
            ("0.0.0.0", "192.0.2.1", true),
        ] {
            assert_eq!(is_reachable(listen_addresses, hostname), expected, "'{listen_addresses}' {hostname}");
        }
    }
}
