//! One probe of one node: any answer of its server proves life.
//!
//! A connection is made and encryption by GSSAPI is asked for. A server answers with one byte, yes or no, or with an
//! error, before it looks at a role, a database or its own state, and writes nothing to its log when we then hang
//! up. So a server that is starting up, is full or refuses us counts as alive; one that accepts connections and
//! answers nothing does not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::names::Names;

/// Length 8 and the code of a GSSENCRequest.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// A server answers.
    Answer,
    /// The host is there, and nobody listens at any of its addresses.
    Refusal,
    /// Anything else.
    Silence,
}

/// Where to probe.
#[derive(Clone)]
pub(super) struct Address {
    host: String,
    port: u16,
    names: Names,
}

impl Address {
    pub(super) const fn new(host: String, port: u16, names: Names) -> Self {
        Self { host, port, names }
    }

    /// Connects, asks, and waits for a byte, within the limit.
    pub(super) async fn probe(&self, limit: Duration) -> Echo {
        timeout(limit, self.ask()).await.unwrap_or(Echo::Silence)
    }

    /// Asks at all addresses of the host at once: one that is silent does not take the time of the others.
    async fn ask(&self) -> Echo {
        let mut questions = JoinSet::new();
        for ip in self.names.addresses(&self.host).await {
            questions.spawn(ask_at(SocketAddr::new(ip, self.port)));
        }
        let mut echo = if questions.is_empty() { Echo::Silence } else { Echo::Refusal };
        while let Some(answer) = questions.join_next().await {
            match answer {
                Ok(Ok(())) => return Echo::Answer,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(Err(_)) | Err(_) => echo = Echo::Silence,
            }
        }
        echo
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
