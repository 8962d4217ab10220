//! `[http]`: where the node answers HTTP, over what, and to whom.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::values::HttpAuth;

/// Without `http.listen` nothing is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen; nowhere when absent.
    pub listen: Option<ListenAddress>,
    /// What a client has to show for what is not a health check.
    pub auth: HttpAuth,
    /// The file with `user:password` or the token; beside the configuration when absent.
    pub auth_file: Option<PathBuf>,
    /// Serve HTTPS with the node's certificate; when absent, whether Postgres speaks TLS decides.
    pub tls: Option<bool>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: None, auth: HttpAuth::None, auth_file: None, tls: None }
    }
}

impl HttpConfig {
    /// Others than this machine can connect, and need to show nothing.
    pub fn is_open_to_others(&self) -> bool {
        let is_elsewhere = self.listen.is_some_and(|listen| !listen.0.ip().is_loopback());
        is_elsewhere && self.auth == HttpAuth::None
    }
}

/// An address of this machine and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

/// A text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an address to listen on, which is an IP address, localhost or *, and a port, as in 127.0.0.1:8008"
)]
pub struct InvalidListenAddress(String);

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    /// Names are not looked up: what a name server says must not decide who can connect.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidListenAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let ip: IpAddr = match host {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            host => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(host) => IpAddr::V6(host.parse().map_err(|_| invalid())?),
                None => IpAddr::V4(host.parse().map_err(|_| invalid())?),
            },
        };
        match port.parse() {
            Ok(0) | Err(_) => Err(invalid()),
            Ok(port) => Ok(Self(SocketAddr::new(ip, port))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_and_names_are_none() {
        for (text, expected) in [
            ("127.0.0.1:8008", "127.0.0.1:8008"),
            ("localhost:1", "127.0.0.1:1"),
            ("*:8008", "0.0.0.0:8008"),
            ("[::1]:8008", "[::1]:8008"),
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), expected);
            assert_eq!(expected.parse(), Ok(address));
        }
        for text in
            ["", "8008", ":8008", "db.example:8008", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:70000", "::1:8008"]
        {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_others_reach_without_a_secret_is_open() {
        let of = |listen: &str, auth| {
            let listen = Some(listen.parse().expect("an address"));
            HttpConfig { listen, auth, ..HttpConfig::default() }.is_open_to_others()
        };
        assert!(of("*:8008", HttpAuth::None) && of("10.0.0.1:8008", HttpAuth::None));
        assert!(!of("*:8008", HttpAuth::Basic) && !of("127.0.0.2:8008", HttpAuth::None));
        assert!(!HttpConfig::default().is_open_to_others());
    }
}
