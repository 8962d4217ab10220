//! Messages on a connection between agents: the length in four bytes, and JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A state with its log, many times over.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Reads one message.
///
/// # Errors
/// The connection's, or a message that is too long or is none.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is too long"),
        ));
    }
    // What was announced is not taken before it has come.
    let mut content = Vec::new();
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    if stream.take(limit).read_to_end(&mut content).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes one message.
///
/// # Errors
/// The connection's, or a message that is too long.
pub(super) async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    let content = serde_json::to_vec(message)?;
    let length =
        u32::try_from(content.len()).ok().filter(|_| content.len() <= MAX_BYTES).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a message of {} bytes is too long", content.len()),
            )
        })?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(content);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_comes_as_it_went() {
        let mut bytes = Vec::new();
        write(&mut bytes, &vec!["a", "b"]).await.expect("written");
        let read: Vec<String> = read(&mut bytes.as_slice()).await.expect("read");
        assert_eq!(read, ["a", "b"]);
    }

    #[tokio::test]
    async fn what_is_too_long_or_cut_is_refused() {
        let long = u32::try_from(MAX_BYTES + 1).expect("fits").to_be_bytes();
        let mut cut = 20_u32.to_be_bytes().to_vec();
        cut.extend(b"\"short\"");
        for bytes in [long.as_slice(), &cut, b"\0\0\0\x02{]", b"\0\0"] {
            assert!(read::<String>(&mut &*bytes).await.is_err(), "{bytes:?}");
        }
        assert!(write(&mut Vec::new(), &"x".repeat(MAX_BYTES)).await.is_err());
    }
}
