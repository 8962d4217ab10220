//! Ends connections that the local server has opened to other nodes.
//!
//! A session that waits for an answer of a node that is frozen waits for ever: the kernel there still answers the
//! keepalives. Nothing but the end of its connection wakes it, not even a signal.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, getpeername, shutdown};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::error::PostgresError;
use super::local_server::LocalServer;
use super::process;

/// A session whose connection has ended opens another one to cancel its request, and waits there.
const PASSES: u32 = 5;
const BETWEEN_PASSES: Duration = Duration::from_millis(100);

impl LocalServer {
    /// Ends all connections of the server's sessions to these addresses; says how many there were. Those of clients to
    /// the server are left alone.
    ///
    /// # Errors
    /// The system does not allow it.
    pub async fn close_connections_to(
        &self,
        addresses: &BTreeSet<SocketAddr>,
    ) -> Result<usize, PostgresError> {
        let Some(postmaster) = self.postmaster().await?.map(|postmaster| postmaster.pid()) else {
            return Ok(0);
        };
        let mut total = 0;
        for pass in 0..PASSES {
            let peers = addresses.clone();
            let count =
                self.files().run("ending connections", move || close_once(postmaster, &peers)).await?;
            total += count;
            if count == 0 && pass > 0 {
                break;
            }
            tokio::time::sleep(BETWEEN_PASSES).await;
        }
        Ok(total)
    }
}

fn close_once(postmaster: i32, peers: &BTreeSet<SocketAddr>) -> Result<usize, PostgresError> {
    let (mut count, mut has_looked, mut refusal) = (0, false, None);
    for session in process::children(postmaster) {
        match sockets(session) {
            Ok(sockets) => {
                has_looked = true;
                count += sockets.iter().filter(|socket| end_if_with(socket, peers)).count();
            }
            // It ends, or has ended meanwhile; or nobody can be looked at.
            Err(error) => refusal = Some((session, error)),
        }
    }
    match refusal {
        Some((session, error)) if !has_looked => Err(PostgresError::Refused(format!(
            "could not read the connections of process {session}: {error}"
        ))),
        _ => Ok(count),
    }
}

/// Copies of the sockets of a process.
fn sockets(process: i32) -> Result<Vec<OwnedFd>, Errno> {
    let pid = Pid::from_raw(process).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let directory = fs::read_dir(format!("/proc/{process}/fd"));
    let entries = directory.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::NOENT))?;
    let mut sockets = Vec::new();
    for entry in entries.flatten() {
        let is_socket =
            fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let number = entry.file_name().to_string_lossy().parse::<i32>();
        let (true, Ok(number)) = (is_socket, number) else { continue };
        match pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => sockets.push(socket),
            Err(Errno::BADF) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

fn end_if_with(socket: &OwnedFd, peers: &BTreeSet<SocketAddr>) -> bool {
    let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
    peer.is_some_and(|peer| peers.contains(&peer)) && shutdown(socket, Shutdown::Both).is_ok()
}
