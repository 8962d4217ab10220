//! Which of the addresses of a host a server answers at.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Length 8 and the code of an SSLRequest: a server answers with one byte, whoever asks, and does not write to its log.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// These addresses, with those first at which a server answers within the limit. All are asked at once.
pub(crate) async fn answering_first(addresses: Vec<IpAddr>, port: u16, limit: Duration) -> Vec<IpAddr> {
    if addresses.len() < 2 {
        return addresses;
    }
    let mut questions = JoinSet::new();
    for address in &addresses {
        let address = *address;
        questions.spawn(async move {
            let answer = timeout(limit, asks(SocketAddr::new(address, port))).await;
            matches!(answer, Ok(Ok(()))).then_some(address)
        });
    }
    // Those that answer keep the order in which libc has them to be tried.
    let answering: Vec<IpAddr> = questions.join_all().await.into_iter().flatten().collect();
    let mut ordered = addresses;
    ordered.sort_by_key(|address| !answering.contains(address));
    ordered
}

async fn asks(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&REQUEST).await?;
    stream.read_u8().await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn an_address_that_is_silent_comes_last() {
        let silent: IpAddr = Ipv4Addr::new(127, 0, 0, 2).into();
        let lively: IpAddr = Ipv4Addr::LOCALHOST.into();
        let server = tokio::net::TcpListener::bind((lively, 0)).await.expect("a listener");
        let port = server.local_addr().expect("an address").port();
        let _silent = std::net::TcpListener::bind((silent, port)).expect("a listener");
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.expect("a connection");
            stream.write_all(b"N").await.expect("an answer");
        });
        let found = answering_first(vec![silent, lively], port, Duration::from_millis(500)).await;
        assert_eq!(found, [lively, silent]);
        let nobody = answering_first(vec![silent, lively], port, Duration::from_millis(50)).await;
        assert_eq!(nobody, [silent, lively], "as libc has them");
    }
}
