//! Whether a monitor's Postgres answers: what whoever leads knows of it beside its agent's reports.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::addresses;

const DEADLINE: Duration = Duration::from_millis(500);

/// The message that asks a server of Postgres whether it speaks TLS; it answers with one letter.
const QUESTION: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Whether a server of Postgres answers there.
pub(super) async fn answers(host: &str, port: u16) -> bool {
    let ask = async {
        let found = addresses(host, DEADLINE).await.map_err(io::Error::other)?;
        let mut error = io::Error::other("no address");
        for address in found {
            match TcpStream::connect((address, port)).await {
                Ok(mut stream) => {
                    stream.write_all(&QUESTION).await?;
                    return stream.read_u8().await;
                }
                Err(reason) => error = reason,
            }
        }
        Err(error)
    };
    matches!(timeout(DEADLINE, ask).await, Ok(Ok(b'S' | b'N')))
}
