//! Whether other nodes reach a server where it listens.

use std::net::{IpAddr, ToSocketAddrs};

use super::error::{CliError, CliResult};
use crate::exit::Exit;
use crate::own_address;

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

/// Whoever connects to that host reaches a server there.
pub(super) fn is_reachable(listen_addresses: &str, hostname: &str) -> bool {
    let addresses = |name: &str| -> Vec<IpAddr> {
        let found = (name, 0).to_socket_addrs().into_iter().flatten();
        found.map(|address| address.ip()).collect()
    };
    let items = listen_addresses.split(',').map(|item| item.trim().trim_matches('"'));
    let host = addresses(hostname);
    // Another machine may pass connections on to an address of this one; to an address that is here, nobody does.
    let is_here = |address: &IpAddr| address.is_loopback() || own_address::network_of(*address).is_some();
    let is_all_here = !host.is_empty() && host.iter().all(is_here);
    items.filter(|item| !item.is_empty()).any(|item| {
        let found = addresses(item);
        let reaches = |address: &IpAddr| match is_all_here {
            _ if address.is_unspecified() => true,
            true => host.contains(address),
            false => !address.is_loopback(),
        };
        // What does not resolve is for Postgres to complain about.
        item == "*" || found.is_empty() || found.iter().any(reaches)
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
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.2", "127.0.0.1", false),
            ("192.0.2.1", "127.0.0.1", false),
            ("127.0.0.2, 127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(is_reachable(listen_addresses, hostname), expected, "'{listen_addresses}' {hostname}");
        }
    }
}
