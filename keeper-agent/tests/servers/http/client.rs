//! A client that says exactly what a test wants said.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

/// Anything that takes longer is no answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

/// What it has answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// From the first byte of the request to the last of the answer, connecting not counted.
    pub(crate) took: Duration,
}

impl Reply {
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }
}

/// A stream with or without TLS.
trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

impl Endpoint {
    pub(crate) const fn plain(port: u16) -> Self {
        Self { port, is_tls: false }
    }

    /// A connection that has said nothing yet.
    pub(crate) fn connect(self) -> Result<TcpStream> {
        let stream =
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A request with this first line, without its version, and these header lines.
    pub(crate) fn ask(self, line: &str, headers: &[&str]) -> Result<Reply> {
        let stream = self.connect()?;
        let mut stream: Box<dyn Both> = if self.is_tls {
            let mut builder = SslConnector::builder(SslMethod::tls_client())?;
            builder.set_verify(SslVerifyMode::NONE);
            Box::new(builder.build().connect("localhost", stream)?)
        } else {
            Box::new(stream)
        };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let began = Instant::now();
        stream.write_all(
            format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes(),
        )?;
        let mut bytes = Vec::new();
        // Whoever closes without a farewell has said all.
        if let Err(error) = stream.read_to_end(&mut bytes) {
            ensure!(!bytes.is_empty(), "{line}: {error}");
        }
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) =
            text.split_once("\r\n\r\n").with_context(|| format!("{line}: no answer: {text:?}"))?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no status: {head}"))?;
        Ok(Reply { status, head: head.to_owned(), body: body.to_owned(), took })
    }

    pub(crate) fn get(self, path: &str) -> Result<Reply> {
        self.ask(&format!("GET {path}"), &[])
    }

    pub(crate) fn status(self, path: &str) -> Result<u16> {
        Ok(self.get(path)?.status)
    }
}
