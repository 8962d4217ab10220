//! What this machine is called towards others: its addresses, its name, and the networks they are in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use crate::client::{self, ConnectionString};

/// How long a host name may take to resolve.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(2);
/// An address that is never ours, on the way to other networks. Nothing is sent there.
const ELSEWHERE: &str = "192.0.2.1";

/// The network, as `address/bits`, of the interface that has this address.
pub(crate) fn network_of(address: IpAddr) -> Option<String> {
    getifaddrs().ok()?.find_map(|interface| {
        let own = ip(interface.address.as_ref()?)?;
        let mask = ip(interface.netmask.as_ref()?)?;
        (own == address).then(|| network(own, mask)).flatten()
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))
}

fn network(address: IpAddr, mask: IpAddr) -> Option<String> {
    match (address, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => {
            let (address, mask) = (u32::from(address), u32::from(mask));
            Some(format!("{}/{}", Ipv4Addr::from(address & mask), mask.count_ones()))
        }
        (IpAddr::V6(address), IpAddr::V6(mask)) => {
            let (address, mask) = (u128::from(address), u128::from(mask));
            Some(format!("{}/{}", Ipv6Addr::from(address & mask), mask.count_ones()))
        }
        _ => None,
    }
}

/// Our address on the way to other networks.
pub(crate) async fn address() -> Option<IpAddr> {
    address_towards(ELSEWHERE).await
}

/// Our address on the way to a host; nothing is sent.
pub(crate) async fn address_towards(host: &str) -> Option<IpAddr> {
    let found = client::addresses(host, RESOLVE_DEADLINE).await.ok()?;
    found.into_iter().find_map(|remote| {
        let unspecified: IpAddr = if remote.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((unspecified, 0)).ok()?;
        // The discard port: it only matters for the route.
        socket.connect(SocketAddr::new(remote, 9)).ok()?;
        // An interface without an address has the way and nothing to call us by.
        socket.local_addr().ok().map(|local| local.ip()).filter(|own| !own.is_unspecified())
    })
}

/// The network that this machine is in: that of the interface with the address of its host name, or, when that is the
/// address of another machine which passes connections on, that of the way to the monitor or to other networks.
pub(crate) async fn local_network(hostname: &str, monitor_host: Option<&str>) -> Option<String> {
    let own = client::addresses(hostname, RESOLVE_DEADLINE).await.unwrap_or_default();
    if let Some(network) = own.into_iter().find_map(network_of) {
        return Some(network);
    }
    let address = match monitor_host.filter(|host| !host.starts_with('/')) {
        Some(host) => address_towards(host).await,
        None => address().await,
    };
    network_of(address?)
}

/// What others may call this machine: its name, when that resolves to the address that the way to the monitor begins
/// with, otherwise that address.
pub(crate) async fn hostname(monitor: Option<&ConnectionString>) -> Option<String> {
    let address = match monitor.and_then(|monitor| monitor.hosts.first()) {
        Some(host) if host.is_socket_directory() => Some(IpAddr::from([127, 0, 0, 1])),
        Some(host) => address_towards(&host.name).await,
        None => address().await,
    }?;
    Some(own_name_for(address).await.unwrap_or_else(|| address.to_string()))
}

/// This machine's name, when it resolves to this address.
async fn own_name_for(address: IpAddr) -> Option<String> {
    if address.is_loopback() {
        return Some("localhost".to_owned());
    }
    let name = machine_name()?;
    let addresses = client::addresses(&name, RESOLVE_DEADLINE).await.ok()?;
    (!client::is_taken_for_an_address(&name) && addresses.contains(&address)).then_some(name)
}

fn machine_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// What this machine is called by now, when a host name that was found out does not lead here any more. A name service or
/// a network that is away for a while changes nothing.
pub(crate) async fn new_hostname(present: &str, monitor: Option<&ConnectionString>) -> Option<String> {
    let leads_to = client::addresses(present, RESOLVE_DEADLINE).await.unwrap_or_default();
    let is_here = leads_to.iter().any(|address| network_of(*address).is_some());
    let is_unknown = leads_to.is_empty() && machine_name().is_some_and(|name| name == present);
    if is_here || is_unknown {
        return None;
    }
    hostname(monitor).await.filter(|found| found != present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_the_address_under_its_mask() {
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network(parse("192.0.2.77"), parse("255.255.255.192")).as_deref(), Some("192.0.2.64/26"));
        assert_eq!(network(parse("2001:db8::7"), parse("ffff:ffff::")).as_deref(), Some("2001:db8::/32"));
        assert_eq!(network(parse("192.0.2.7"), parse("ffff::")), None);
    }

    #[tokio::test]
    async fn a_name_is_kept_while_it_leads_here() {
        let monitor: ConnectionString = "postgres://127.0.0.1/db".parse().expect("valid");
        assert_eq!(hostname(Some(&monitor)).await.as_deref(), Some("localhost"));
        for present in ["localhost", "127.0.0.1"] {
            assert_eq!(new_hostname(present, Some(&monitor)).await, None, "{present}");
        }
        let own = machine_name().expect("a name");
        assert_eq!(new_hostname(&own, Some(&monitor)).await, None, "whether or not it resolves");
        for gone in ["203.0.113.77", "f0135b83edcd.invalid"] {
            assert_eq!(new_hostname(gone, Some(&monitor)).await.as_deref(), Some("localhost"), "{gone}");
        }
    }

    #[tokio::test]
    async fn the_network_of_a_machine_behind_another_address_is_that_of_its_way_to_the_monitor() {
        let found = local_network("203.0.113.77", Some("127.0.0.1")).await;
        assert_eq!(found.as_deref(), Some("127.0.0.0/8"));
    }
}
