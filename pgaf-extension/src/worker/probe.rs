//! One probe of one node: any answer of its server proves life.
//!
//! A connection is made and encryption by GSSAPI is asked for. A server answers with one byte, yes or no, or with an
//! error, before it looks at a role, a database or its own state, and writes nothing to its log when we then hang
//! up. So a server that is starting up, is full or refuses us counts as alive; one that accepts connections and
//! answers nothing does not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Length 8 and the code of a GSSENCRequest.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// Where to probe, and where that was the last time.
pub(super) struct Address {
    host: String,
    port: u16,
    // Used when the name service does not answer: its loss is not the loss of the node.
    last_known: Vec<IpAddr>,
}

impl Address {
    pub(super) const fn new(host: String, port: u16) -> Self {
        Self { host, port, last_known: Vec::new() }
    }

    /// Connects, asks, and waits for a byte, within the limit.
    pub(super) async fn answers(&mut self, limit: Duration) -> bool {
        matches!(timeout(limit, self.ask()).await, Ok(Ok(())))
    }

    async fn ask(&mut self) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for ip in self.resolve().await {
            match ask_at(SocketAddr::new(ip, self.port)).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn resolve(&mut self) -> Vec<IpAddr> {
        if let Ok(ip) = self.host.parse() {
            return vec![ip];
        }
        if let Some(found) = look_up(&self.host).await {
            self.last_known = found;
        }
        self.last_known.clone()
    }
}

async fn ask_at(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&REQUEST).await?;
    match stream.read_u8().await {
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Asks the hosts file and the name servers, as they are configured now.
async fn look_up(host: &str) -> Option<Vec<IpAddr>> {
    let resolver = TokioResolver::builder_tokio().ok()?.build();
    let found = resolver.lookup_ip(host).await.ok()?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    (!addresses.is_empty()).then_some(addresses)
}
