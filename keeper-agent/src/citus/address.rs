//! Where Citus connects to.

use std::fmt;

use pgaf_core::Peer;

/// A node's host and port, as in `pg_dist_node`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl From<&Peer> for Address {
    fn from(peer: &Peer) -> Self {
        Self { host: peer.host.clone(), port: peer.port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
