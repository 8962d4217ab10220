//! What the operating system says of this machine's networks and of the user we are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

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
}
