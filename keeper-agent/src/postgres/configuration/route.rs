//! How another node is reached: its host name, and the addresses that this means now.
//!
//! libpq would look a name up by itself, in processes of Postgres that nobody can interrupt meanwhile: while a name server
//! is silent, a standby could be neither led to another primary nor promoted. So its addresses are looked up here, those
//! of before count when that fails, and libpq is told both.

use std::net::IpAddr;
use std::time::Duration;

use pgaf_core::message::Peer;

use crate::client;

/// How long a host name may take to resolve.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the server may take to answer at one of several addresses.
const ANSWER_DEADLINE: Duration = Duration::from_millis(500);

/// Another node, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) peer: Peer,
    /// In the order in which they are to be tried. None where the host is an address, or its name means nothing now.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Route {
    /// Looks the name up; of several addresses, those at which a server answers come first.
    pub(crate) async fn to(peer: &Peer) -> Self {
        let mut route = Self { peer: peer.clone(), addresses: Vec::new() };
        if peer.host.starts_with('/') || peer.host.parse::<IpAddr>().is_ok() {
            return route;
        }
        match client::addresses(&peer.host, RESOLVE_DEADLINE).await {
            Ok(found) => {
                route.addresses = client::answering_first(found, peer.port, ANSWER_DEADLINE).await;
            }
            Err(error) => tracing::warn!("{error}"),
        }
        route
    }
}
