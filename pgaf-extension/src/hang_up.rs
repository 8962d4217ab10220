//! A keeper that dies hangs up without a word: its kernel closes the connection, and its session here reads the end of it.
//! The process of that session says so to the worker as its last act, through a pipe that the postmaster made and every
//! process of the server has.
//!
//! Whoever goes in an orderly way says goodbye first. A connection that was reset, or timed out, says nothing about the
//! process at its other end: a firewall can do that.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use pgaf_core::NodeId;
use pgrx::pg_sys;
use rustix::pipe::{PipeFlags, pipe_with};

/// Where what is said can be read, and where it is written.
static PIPE: OnceLock<(OwnedFd, OwnedFd)> = OnceLock::new();

/// The state of a TCP connection whose peer has closed it, and that is open on this side.
const TCP_CLOSE_WAIT: u8 = 8;

thread_local! {
    /// Which node has last reported in this session.
    static NODE: Cell<Option<NodeId>> = const { Cell::new(None) };
}

/// A keeper has hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HangUp {
    /// The process of its session.
    pub(crate) pid: i32,
    /// The node that had last reported in it.
    pub(crate) node: NodeId,
}

/// As many bytes as one says: written and read in one piece.
pub(crate) const MESSAGE_BYTES: usize = 12;

impl HangUp {
    fn to_bytes(self) -> [u8; MESSAGE_BYTES] {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..8].copy_from_slice(&self.node.0.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.pid.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (node, pid) = bytes.split_at_checked(8)?;
        Some(Self {
            node: NodeId(i64::from_ne_bytes(node.try_into().ok()?)),
            pid: i32::from_ne_bytes(pid.try_into().ok()?),
        })
    }
}

/// Makes the pipe. To be called in the postmaster, before there are other processes. Without it, the end of a keeper is
/// noticed by its silence.
pub(crate) fn prepare() -> io::Result<()> {
    let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    PIPE.get_or_init(|| pipe);
    Ok(())
}

/// The end of the pipe at which it can be read what is said; `None` without a pipe.
pub(crate) fn reader() -> io::Result<Option<OwnedFd>> {
    PIPE.get().map(|(reader, _)| reader.try_clone()).transpose()
}

/// What was read there.
pub(crate) fn understand(bytes: &[u8]) -> Vec<HangUp> {
    bytes.chunks_exact(MESSAGE_BYTES).filter_map(HangUp::from_bytes).collect()
}

/// The node has reported in this session.
pub(crate) fn expect(node: NodeId) {
    let is_first = NODE.with(|known| known.replace(Some(node))).is_none();
    if is_first {
        // SAFETY: the function is there for as long as the process is.
        unsafe { pg_sys::on_proc_exit(Some(tell), pg_sys::Datum::from(0)) };
    }
}

/// The session ends. Nothing here may fail, allocate or wait: the process is on its way out.
unsafe extern "C-unwind" fn tell(_code: i32, _argument: pg_sys::Datum) {
    let Some((_, writer)) = PIPE.get() else { return };
    let Some(node) = NODE.with(Cell::get) else { return };
    if has_hung_up() {
        let message = HangUp { pid: std::process::id().cast_signed(), node }.to_bytes();
        // A full pipe: it is noticed by its silence.
        let _written = rustix::io::write(writer, &message);
    }
}

/// The client has closed the connection, and has not said that it would.
fn has_hung_up() -> bool {
    // SAFETY: globals of this process. A `Port` begins with the socket of the client, which is open until the process ends.
    let (cause, socket) = unsafe {
        let Some(socket) = pg_sys::MyProcPort.cast::<libc::c_int>().as_ref() else { return false };
        (pg_sys::pgStatSessionEndCause, *socket)
    };
    if cause != pg_sys::SessionEndType::DISCONNECT_CLIENT_EOF {
        return false;
    }
    match option(socket, libc::SOL_SOCKET, libc::SO_DOMAIN).map(i32::from_ne_bytes) {
        // Nobody but the peer's own kernel is in between.
        Some(libc::AF_UNIX) => true,
        // The state is the first byte.
        _ => option(socket, libc::IPPROTO_TCP, libc::TCP_INFO).is_some_and(|info| info[0] == TCP_CLOSE_WAIT),
    }
}

/// The first bytes of a socket's option.
fn option(socket: i32, level: i32, name: i32) -> Option<[u8; 4]> {
    let mut value = [0_u8; 4];
    let mut length = 4;
    // SAFETY: the kernel writes at most so many bytes.
    let result = unsafe { libc::getsockopt(socket, level, name, value.as_mut_ptr().cast(), &mut length) };
    (result == 0 && length >= 1).then_some(value)
}
