//! What host names mean to the programs of a node: a hosts file of its own, behind it a name server that swallows all
//! questions, and addresses at which nobody answers.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::libc;

/// The hosts file always has this size, so that one write replaces it.
const HOSTS_BYTES: usize = 2048;
/// A connection to this machine that takes longer waits for somebody who never answers.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);
/// More than the queue of a listener that has none.
const MOST_CONNECTIONS: usize = 8;

/// A hosts file, and a name server that is silent.
pub(crate) struct NameService {
    directory: PathBuf,
    _server: UdpSocket,
}

impl NameService {
    /// One whose files are here; it knows no name but `localhost`.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let (server, address) = silent_server()?;
        let this = Self { directory: directory.to_owned(), _server: server };
        this.write("resolv.conf", &format!("nameserver {address}\n"))?;
        this.write("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")?;
        this.write("hosts", "")?;
        this.say(&[])?;
        Ok(this)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, content).with_context(|| path.display().to_string())
    }

    /// From now on these names have these addresses, and no others have any.
    pub(crate) fn say(&self, names: &[(&str, &[Ipv4Addr])]) -> Result<()> {
        let mut content = String::from("127.0.0.1 localhost\n");
        for (name, addresses) in names {
            content.extend(addresses.iter().map(|address| format!("{address} {name}\n")));
        }
        let padding = HOSTS_BYTES.checked_sub(content.len()).context("too many names")?;
        content.push_str(&"\n".repeat(padding));
        let path = self.directory.join("hosts");
        Ok(OpenOptions::new().write(true).open(path)?.write_all_at(content.as_bytes(), 0)?)
    }

    /// What a node that asks it has mounted.
    pub(crate) fn mounts(&self) -> Vec<(PathBuf, PathBuf)> {
        ["hosts", "resolv.conf", "nsswitch.conf"]
            .map(|name| (self.directory.join(name), Path::new("/etc").join(name)))
            .into()
    }
}

/// A port of name servers from which nothing comes back.
fn silent_server() -> Result<(UdpSocket, Ipv4Addr)> {
    for number in 1..=250 {
        let address = Ipv4Addr::new(127, 53, std::process::id().to_le_bytes()[0], number);
        match UdpSocket::bind((address, 53)) {
            Ok(server) => return Ok((server, address)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).context("a name server"),
        }
    }
    bail!("no address is free for a name server")
}

/// A port at which connections are neither accepted nor refused, as those of a host that is off.
pub(crate) struct Silence {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silence {
    /// At this address of this machine.
    pub(crate) fn at(address: Ipv4Addr, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((address, port))?;
        // SAFETY: a plain system call on a socket that lives. Its queue of connections has room for one.
        let is_shortened = unsafe { libc::listen(listener.as_raw_fd(), 0) } == 0;
        anyhow::ensure!(is_shortened, "listen: {}", std::io::Error::last_os_error());
        let mut waiting = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            match TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT_LIMIT) {
                Ok(stream) => waiting.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Ok(Self { _listener: listener, _waiting: waiting });
                }
                Err(error) => return Err(error).context("filling the queue of a listener"),
            }
        }
        bail!("{address}:{port} goes on accepting connections")
    }

    /// One that accepts connections and answers nothing, as a server that hangs.
    pub(crate) fn accepting_at(address: Ipv4Addr, port: u16) -> Result<Self> {
        Ok(Self { _listener: TcpListener::bind((address, port))?, _waiting: Vec::new() })
    }
}
