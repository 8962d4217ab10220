//! libpq's connection strings: `postgres://user:password@host:port/dbname?key=value` and `key=value key=value`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::{MASK, Secret};
use super::ssl::{SslMode, SslOptions};

/// One server of a connection string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name, address, or the directory of a Unix socket, which begins with a slash.
    pub name: String,
    /// Port.
    pub port: u16,
    /// Its address, when it is not to be looked up (`hostaddr`).
    pub address: Option<IpAddr>,
}

impl Host {
    /// The name is the directory of a Unix socket.
    pub fn is_socket_directory(&self) -> bool {
        self.name.starts_with('/')
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// Where a server is and how to connect to it. Printing one prints a URI with the password masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionString {
    /// The servers, tried in this order.
    pub hosts: Vec<Host>,
    /// Role to connect as.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Database to connect to.
    pub dbname: Option<String>,
    /// TLS.
    pub ssl: SslOptions,
    /// What `pg_stat_activity` shows.
    pub application_name: Option<String>,
    /// Settings of the session, as `-c name=value`.
    pub options: Option<String>,
    /// How long connecting to one server may take.
    pub connect_timeout: Option<Duration>,
    /// Only a server that accepts writes will do (`target_session_attrs`).
    pub needs_writer: bool,
    /// The server has to prove in the exchange of the password that it is at the other end of TLS
    /// (`channel_binding=require`).
    pub binds_channel: bool,
    /// The file with passwords; `PGPASSFILE` or `~/.pgpass` when absent.
    pub passfile: Option<PathBuf>,
    /// The servers are tried in any order (`load_balance_hosts=random`).
    pub shuffles_hosts: bool,
    /// What libpq would follow and we do not need to: kept for whoever gets the string from us.
    pub(super) others: Vec<(&'static str, String)>,
}

/// A text that is no connection string. Never quotes the text, which may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid connection string: {0}")]
pub struct InvalidConnectionString(pub(super) String);

impl ConnectionString {
    /// A connection to one server, with defaults for all else.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { hosts: vec![Host { name: host.into(), port, address: None }], ..Self::default() }
    }

    /// As a URI with the password in it: for files that only the owner can read, and for clients.
    pub fn to_uri(&self) -> String {
        self.uri_with(|secret| encode_name(secret.expose()))
    }

    fn uri_with(&self, show: impl Fn(&Secret) -> String) -> String {
        let mut uri = String::from("postgres://");
        if let Some(user) = &self.user {
            uri.push_str(&encode_name(user));
            if let Some(password) = &self.password {
                uri.push(':');
                uri.push_str(&show(password));
            }
            uri.push('@');
        }
        let hosts: Vec<String> = self.hosts.iter().map(encode_host).collect();
        uri.push_str(&hosts.join(","));
        if let Some(dbname) = &self.dbname {
            uri.push('/');
            uri.push_str(&encode(dbname));
        }
        let mut separator = '?';
        if let Some(password) = self.password.as_ref().filter(|_| self.user.is_none()) {
            uri.push_str("?password=");
            uri.push_str(&show(password));
            separator = '&';
        }
        let mut parameter = |key: &str, value: &str| {
            uri.push(separator);
            separator = '&';
            uri.push_str(key);
            uri.push('=');
            uri.push_str(&encode(value));
        };
        if self.hosts.iter().any(|host| host.address.is_some()) {
            let address = |host: &Host| host.address.map(|address| address.to_string()).unwrap_or_default();
            let addresses: Vec<String> = self.hosts.iter().map(address).collect();
            parameter("hostaddr", &addresses.join(","));
        }
        if self.needs_writer {
            parameter("target_session_attrs", "read-write");
        }
        if self.ssl.mode != SslMode::default() {
            parameter("sslmode", self.ssl.mode.as_str());
        }
        let files = [
            ("sslrootcert", &self.ssl.root_cert),
            ("sslcert", &self.ssl.cert),
            ("sslkey", &self.ssl.key),
            ("sslcrl", &self.ssl.crl),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                parameter(key, &file.to_string_lossy());
            }
        }
        let protocols = [
            ("ssl_min_protocol_version", self.ssl.min_protocol),
            ("ssl_max_protocol_version", self.ssl.max_protocol),
        ];
        for (key, protocol) in protocols {
            if let Some(protocol) = protocol {
                parameter(key, protocol.as_str());
            }
        }
        if self.ssl.keeps_certificate {
            parameter("sslcertmode", "disable");
        }
        if self.ssl.begins_with_tls {
            parameter("sslnegotiation", "direct");
        }
        if self.binds_channel {
            parameter("channel_binding", "require");
        }
        if self.ssl.keeps_name {
            parameter("sslsni", "0");
        }
        if let Some(file) = &self.passfile {
            parameter("passfile", &file.to_string_lossy());
        }
        if self.shuffles_hosts {
            parameter("load_balance_hosts", "random");
        }
        if let Some(name) = &self.application_name {
            parameter("application_name", name);
        }
        if let Some(options) = &self.options {
            parameter("options", options);
        }
        if let Some(timeout) = self.connect_timeout {
            parameter("connect_timeout", &timeout.as_secs().to_string());
        }
        for (key, value) in &self.others {
            parameter(key, value);
        }
        uri
    }
}

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri_with(|_| MASK.to_owned()))
    }
}

fn encode_with(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || is_plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn encode(text: &str) -> String {
    encode_with(text, |byte| b"-._~/".contains(&byte))
}

fn encode_name(text: &str) -> String {
    encode_with(text, |byte| b"-._~".contains(&byte))
}

fn encode_host(host: &Host) -> String {
    if host.name.contains(':') {
        let address = encode_with(&host.name, |byte| b"-._~:".contains(&byte));
        return format!("[{address}]:{}", host.port);
    }
    format!("{}:{}", encode_name(&host.name), host.port)
}
