//! Reads connection strings, as libpq does.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::connection_string::{ConnectionString, Host, InvalidConnectionString};
use super::secret::Secret;
use super::service;
use super::ssl::{SYSTEM_AUTHORITIES, SslMode, TlsProtocol};

/// Postgres's own default.
const DEFAULT_PORT: u16 = 5432;

/// Parameters of libpq that change nothing here, as we always set our own time-outs and keepalives, or never use what
/// they are about.
const WITHOUT_EFFECT: [&str; 6] = [
    "client_encoding",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "min_protocol_version",
    "max_protocol_version",
];

/// As those, and a whole number.
const NUMBERS_WITHOUT_EFFECT: [&str; 6] = [
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslcompression",
    "tcp_user_timeout",
];

/// Parameters of libpq that would change what a connection is, and that cannot be followed.
const UNSUPPORTED: [(&str, &str); 12] = [
    (
        "require_auth",
        "pg_autoctl cannot see which method the server asks for: use sslmode=verify-full instead",
    ),
    ("replication", "pg_autoctl runs queries on this connection"),
    ("sslpassword", "give a key without a passphrase in sslkey"),
    ("sslcrldir", "give a file in sslcrl"),
    ("sslkeylogfile", "pg_autoctl does not write down the keys of its connections"),
    ("scram_client_key", "give the password"),
    ("scram_server_key", "give the password"),
    ("requirepeer", "connections over a socket are not verified here"),
    ("oauth_issuer", "pg_autoctl does not log in with OAuth"),
    ("oauth_client_id", "pg_autoctl does not log in with OAuth"),
    ("oauth_client_secret", "pg_autoctl does not log in with OAuth"),
    ("oauth_scope", "pg_autoctl does not log in with OAuth"),
];

/// It ends every text that is sent to a server.
const NO_ZERO: &str = "the character with the code 0 cannot be part of it";

/// What has been read of the servers, and where more is said.
#[derive(Default)]
struct Servers {
    hosts: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<String>,
    service: Option<String>,
    service_file: Option<PathBuf>,
    /// The other parameters that were given.
    given: Vec<String>,
    has_mode: bool,
}

impl FromStr for ConnectionString {
    type Err = InvalidConnectionString;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.contains('\0') {
            return invalid(NO_ZERO);
        }
        let parsed = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .map_or_else(|| Self::parse_pairs(text), Self::parse_uri);
        // What may have a password in it is not repeated.
        let is_harmless = !["@", "password", "secret", "scram_"].iter().any(|word| text.contains(word));
        parsed.map_err(|InvalidConnectionString(why)| {
            InvalidConnectionString(if is_harmless { format!("{why}: \"{text}\"") } else { why })
        })
    }
}

impl ConnectionString {
    fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidConnectionString> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        let file = || (!value.is_empty()).then(|| PathBuf::from(value));
        match key {
            "user" => self.user = text(),
            "password" => self.password = text().map(Secret::new),
            "dbname" => self.dbname = text(),
            "passfile" => self.passfile = file(),
            "application_name" => self.application_name = text(),
            "fallback_application_name" => {
                self.application_name = self.application_name.take().or_else(text);
            }
            "options" => self.options = text(),
            // Postgres itself takes a negative number and 0 for no limit.
            "connect_timeout" => match value.trim().parse::<i64>() {
                Ok(seconds) => {
                    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
                    self.connect_timeout = seconds.map(Duration::from_secs);
                }
                Err(_) => return invalid("connect_timeout is a number of seconds"),
            },
            "channel_binding" => match value {
                "require" => self.binds_channel = true,
                "prefer" | "disable" => self.binds_channel = false,
                _ => return invalid("channel_binding is disable, prefer or require"),
            },
            "gssencmode" => match value {
                "require" => {
                    return invalid(
                        "gssencmode=require cannot be followed, as pg_autoctl does not encrypt with GSSAPI: use sslmode=verify-full",
                    );
                }
                "prefer" | "disable" => {}
                _ => return invalid("gssencmode is disable, prefer or require"),
            },
            "min_protocol_version" if !matches!(value, "" | "3.0") => {
                return invalid("min_protocol_version is 3.0 here, which is what pg_autoctl speaks");
            }
            "target_session_attrs" => match value {
                "read-write" | "primary" => self.needs_writer = true,
                "any" => self.needs_writer = false,
                _ => {
                    return invalid(
                        "target_session_attrs is any, read-write or primary here, as pg_autoctl writes",
                    );
                }
            },
            "load_balance_hosts" => match value {
                "disable" => self.shuffles_hosts = false,
                "random" => self.shuffles_hosts = true,
                _ => return invalid("load_balance_hosts is disable or random"),
            },
            _ => return self.set_ssl(key, value).unwrap_or_else(|| self.set_other(key, value)),
        }
        Ok(())
    }

    /// `None` when it is not about TLS.
    fn set_ssl(&mut self, key: &str, value: &str) -> Option<Result<(), InvalidConnectionString>> {
        let file = || (!value.is_empty()).then(|| PathBuf::from(value));
        let ssl = &mut self.ssl;
        let protocol = || match value {
            "" => Ok(None),
            _ => match TlsProtocol::of_name(value) {
                Some(version) => Ok(Some(version)),
                None => invalid(format!("{key} is TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")),
            },
        };
        let switch = || match value {
            "" | "0" => Ok(false),
            "1" => Ok(true),
            _ => invalid(format!("{key} is 0 or 1")),
        };
        let result = match key {
            "sslmode" => value
                .parse()
                .map(|mode| ssl.mode = mode)
                .map_err(|unknown| InvalidConnectionString(format!("{unknown}"))),
            "sslrootcert" => {
                ssl.root_cert = file();
                Ok(())
            }
            "sslcert" => {
                ssl.cert = file();
                Ok(())
            }
            "sslkey" => {
                ssl.key = file();
                Ok(())
            }
            "sslcrl" => {
                ssl.crl = file();
                Ok(())
            }
            "ssl_min_protocol_version" => protocol().map(|version| ssl.min_protocol = version),
            "ssl_max_protocol_version" => protocol().map(|version| ssl.max_protocol = version),
            "sslsni" => switch().map(|sends_name| ssl.keeps_name = !sends_name && !value.is_empty()),
            "requiressl" => switch().map(|is_required| {
                if is_required {
                    ssl.mode = SslMode::Require;
                }
            }),
            "sslnegotiation" => match value {
                "" | "postgres" => {
                    ssl.begins_with_tls = false;
                    Ok(())
                }
                "direct" => {
                    ssl.begins_with_tls = true;
                    Ok(())
                }
                _ => invalid("sslnegotiation is postgres or direct"),
            },
            "sslcertmode" => match value {
                "" | "allow" => {
                    ssl.keeps_certificate = false;
                    Ok(())
                }
                "disable" => {
                    ssl.keeps_certificate = true;
                    Ok(())
                }
                "require" => invalid(
                    "sslcertmode=require cannot be followed, as pg_autoctl does not learn whether the server asked for the certificate: use allow",
                ),
                _ => invalid("sslcertmode is disable or allow"),
            },
            _ => return None,
        };
        Some(result)
    }

    fn set_other(&mut self, key: &str, value: &str) -> Result<(), InvalidConnectionString> {
        if let Some((_, why)) = UNSUPPORTED.iter().find(|(name, _)| *name == key) {
            return if value.is_empty() { Ok(()) } else { invalid(format!("{key} cannot be used: {why}")) };
        }
        let number = NUMBERS_WITHOUT_EFFECT.iter().find(|name| **name == key);
        if number.is_some() && !value.is_empty() && value.trim().parse::<i32>().is_err() {
            return invalid(format!("{key} is a whole number"));
        }
        let Some(known) = number.or_else(|| WITHOUT_EFFECT.iter().find(|name| **name == key)) else {
            return invalid(format!("there is no parameter \"{key}\""));
        };
        self.others.retain(|(name, _)| name != known);
        if !value.is_empty() {
            self.others.push((known, value.to_owned()));
        }
        Ok(())
    }

    fn finish(mut self, servers: &Servers) -> Result<Self, InvalidConnectionString> {
        let port = |text: &str| match text {
            "" => Ok(DEFAULT_PORT),
            _ => match text.parse() {
                Ok(0) | Err(_) => invalid("a port is a number from 1 to 65535"),
                Ok(port) => Ok(port),
            },
        };
        let Servers { hosts, addresses, ports, .. } = servers;
        if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
            return invalid("hostaddr must have one address for each host");
        }
        let count = hosts.len().max(addresses.len());
        if ports.len() > 1 && ports.len() != count {
            return invalid("there must be one port for all hosts, or one for each");
        }
        for index in 0..count {
            let address: Option<IpAddr> = match addresses.get(index).map(String::as_str) {
                None | Some("") => None,
                Some(text) => match text.parse() {
                    Ok(address) => Some(address),
                    Err(_) => return invalid("hostaddr is an IP address"),
                },
            };
            let name = match (hosts.get(index).map(String::as_str), address) {
                (None | Some(""), Some(address)) => address.to_string(),
                (None | Some(""), None) => return invalid("a host is missing"),
                (Some(name), _) => name.to_owned(),
            };
            let text = ports.get(index).or(ports.first()).map_or("", |text| text);
            self.hosts.push(Host { name, port: port(text)?, address });
        }
        if self.hosts.is_empty() {
            return invalid("a host is missing");
        }
        let ssl = &self.ssl;
        if ssl.min_protocol.zip(ssl.max_protocol).is_some_and(|(min, max)| min > max) {
            return invalid("ssl_min_protocol_version is above ssl_max_protocol_version");
        }
        let is_weak = ssl.begins_with_tls && ssl.mode < SslMode::Require;
        let is_of_system = ssl.root_cert.as_deref() == Some(Path::new(SYSTEM_AUTHORITIES));
        if is_weak && (!is_of_system || servers.has_mode) {
            return invalid("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full");
        }
        if is_of_system {
            if !servers.has_mode {
                self.ssl.mode = SslMode::VerifyFull;
            } else if ssl.mode != SslMode::VerifyFull {
                return invalid(
                    "sslrootcert=system needs sslmode=verify-full, as anybody can have a certificate of these authorities",
                );
            }
        }
        Ok(self)
    }

    /// Takes a parameter over, which may be about the servers.
    fn take(&mut self, servers: &mut Servers, key: &str, value: &str) -> Result<(), InvalidConnectionString> {
        match key {
            "host" => servers.hosts = split_list(value),
            "hostaddr" => servers.addresses = split_list(value),
            "port" => servers.ports = split_list(value),
            "service" => servers.service = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "servicefile" => servers.service_file = Some(PathBuf::from(value)),
            key => {
                servers.given.push(key.to_owned());
                servers.has_mode |= key == "sslmode" || key == "requiressl";
                self.set(key, value)?;
            }
        }
        Ok(())
    }

    /// What the service says counts where the string says nothing.
    fn add_service(&mut self, servers: &mut Servers) -> Result<(), InvalidConnectionString> {
        // The environment's is for a string that does not say where to connect to.
        let of_environment = || {
            let is_wanted = servers.hosts.is_empty() && servers.addresses.is_empty();
            std::env::var("PGSERVICE").ok().filter(|name| is_wanted && !name.is_empty())
        };
        let Some(name) = servers.service.clone().or_else(of_environment) else { return Ok(()) };
        let found = service::parameters(&name, servers.service_file.as_deref());
        let is_given = |servers: &Servers, key: &str| match key {
            "host" => !servers.hosts.is_empty(),
            "hostaddr" => !servers.addresses.is_empty(),
            "port" => !servers.ports.is_empty(),
            key => servers.given.iter().any(|given| given == key),
        };
        for (key, value) in found.map_err(InvalidConnectionString)? {
            if key == "service" {
                return invalid("a service cannot name another service");
            }
            if !is_given(servers, &key) {
                self.take(servers, &key, &value)?;
            }
        }
        Ok(())
    }

    fn parse_uri(rest: &str) -> Result<Self, InvalidConnectionString> {
        let mut parsed = Self::default();
        let (before_query, query) = split_at_char(rest, '?');
        let (authority, path) = split_at_char(before_query, '/');
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((credentials, servers)) => (Some(credentials), servers),
            None => (None, authority),
        };
        let mut found = Servers::default();
        if let Some(credentials) = credentials {
            let (user, password) = split_at_char(credentials, ':');
            for (key, value) in [("user", user), ("password", password.unwrap_or(""))] {
                if !value.is_empty() {
                    parsed.take(&mut found, key, &decode(value)?)?;
                }
            }
        }
        if let Some(dbname) = path.filter(|dbname| !dbname.is_empty()) {
            parsed.take(&mut found, "dbname", &decode(dbname)?)?;
        }
        for server in servers.split(',').filter(|_| !servers.is_empty()) {
            let (host, port) = split_server(server)?;
            found.hosts.push(decode(host)?);
            found.ports.push(port.to_owned());
        }
        if found.ports.iter().all(String::is_empty) {
            found.ports.clear();
        }
        for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return invalid("a parameter after \"?\" has no value");
            };
            match (decode(key)?.as_str(), decode(value)?.as_str()) {
                // As JDBC has it.
                ("ssl", "true") => parsed.take(&mut found, "sslmode", "require")?,
                (key, value) => parsed.take(&mut found, key, value)?,
            }
        }
        parsed.add_service(&mut found)?;
        parsed.finish(&found)
    }

    fn parse_pairs(text: &str) -> Result<Self, InvalidConnectionString> {
        let mut parsed = Self::default();
        let mut found = Servers::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let Some((key, after)) = rest.split_once('=') else {
                return invalid("it is neither a URI (postgres://host/dbname) nor pairs of key=value");
            };
            let (value, after) = take_value(after.trim_start())?;
            parsed.take(&mut found, key.trim(), &value)?;
            rest = after.trim_start();
        }
        parsed.add_service(&mut found)?;
        parsed.finish(&found)
    }
}

fn invalid<T>(why: impl Into<String>) -> Result<T, InvalidConnectionString> {
    Err(InvalidConnectionString(why.into()))
}

fn split_at_char(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

/// Splits `host:port` and `[address]:port`; without a port, the second is empty.
fn split_server(server: &str) -> Result<(&str, &str), InvalidConnectionString> {
    let (host, rest) = match server.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some(parts) => parts,
            None => return invalid("an address begins with \"[\" and has no \"]\""),
        },
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if rest.is_empty() => Ok((host, "")),
        None => invalid("after an address in brackets comes \":\" and the port"),
    }
}

/// Takes a value off the front of `key=value` pairs, unquoted; gives it and the rest.
fn take_value(text: &str) -> Result<(String, &str), InvalidConnectionString> {
    let is_quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(is_quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if is_quoted => return Ok((value, &text[at + 1..])),
            char if char.is_whitespace() && !is_quoted => return Ok((value, &text[at..])),
            char => value.push(char),
        }
    }
    if is_quoted {
        return invalid("a quoted value has no closing quote");
    }
    Ok((value, ""))
}

fn decode(text: &str) -> Result<String, InvalidConnectionString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(0), Some(0)) => return invalid(NO_ZERO),
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return invalid("after \"%\" come two hexadecimal digits"),
        }
    }
    String::from_utf8(bytes).or_else(|_| invalid("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ConnectionString {
        text.parse().expect("a valid connection string")
    }

    #[test]
    fn uris_print_as_they_were_given() {
        for uri in [
            "postgres://autoctl_node@192.0.2.1:5432/pg_auto_failover",
            "postgres://autoctl_node@host:5432/pg_auto_failover?sslmode=require",
            "postgres://a:5432,b:6543/postgres?target_session_attrs=read-write&sslmode=verify-ca&sslrootcert=/ca.crt",
            "postgres://u:p%40%2F%25@[::1]:5433/db",
            "postgres://%2Fvar%2Frun:5432/db?application_name=x&options=-c%20a%3Db&connect_timeout=3",
        ] {
            assert_eq!(parse(uri).to_uri(), uri);
        }
    }

    /// All parameters of libpq 14 to 18, with a value that libpq takes.
    const OF_LIBPQ: [(&str, &str, bool); 54] = [
        ("application_name", "a", true),
        ("channel_binding", "require", true),
        ("channel_binding", "prefer", true),
        ("client_encoding", "auto", true),
        ("connect_timeout", "3", true),
        ("dbname", "d", true),
        ("fallback_application_name", "a", true),
        ("gssdelegation", "0", true),
        ("gssencmode", "disable", true),
        ("gssencmode", "require", false),
        ("gsslib", "gssapi", true),
        ("host", "b", true),
        ("hostaddr", "192.0.2.1", true),
        ("keepalives", "1", true),
        ("keepalives_count", "3", true),
        ("keepalives_idle", "3", true),
        ("keepalives_interval", "1", true),
        ("krbsrvname", "postgres", true),
        ("load_balance_hosts", "random", true),
        ("max_protocol_version", "latest", true),
        ("min_protocol_version", "3.0", true),
        ("min_protocol_version", "3.2", false),
        ("oauth_client_id", "me", false),
        ("oauth_client_secret", "hidden", false),
        ("oauth_issuer", "https://issuer.example", false),
        ("oauth_scope", "all", false),
        ("options", "-c\\ a=b", true),
        ("passfile", "/p", true),
        ("password", "p", true),
        ("port", "5433", true),
        ("replication", "true", false),
        ("require_auth", "scram-sha-256", false),
        ("requirepeer", "postgres", false),
        ("requiressl", "1", true),
        ("scram_client_key", "hidden", false),
        ("scram_server_key", "hidden", false),
        ("ssl_max_protocol_version", "TLSv1.3", true),
        ("ssl_min_protocol_version", "TLSv1.2", true),
        ("sslcert", "/c", true),
        ("sslcertmode", "disable", true),
        ("sslcertmode", "require", false),
        ("sslcompression", "0", true),
        ("sslcrl", "/c", true),
        ("sslcrldir", "/d", false),
        ("sslkey", "/k", true),
        ("sslkeylogfile", "/l", false),
        ("sslmode", "verify-full", true),
        ("sslnegotiation", "postgres", true),
        ("sslpassword", "hidden", false),
        ("sslrootcert", "/r", true),
        ("sslsni", "1", true),
        ("target_session_attrs", "prefer-standby", false),
        ("tcp_user_timeout", "1000", true),
        ("user", "u", true),
    ];

    #[test]
    fn each_parameter_of_libpq_is_taken_or_refused_by_name() {
        for (key, value, is_taken) in OF_LIBPQ {
            let parsed = format!("host=a {key}={value}").parse::<ConnectionString>();
            match (parsed, is_taken) {
                (Ok(target), true) => assert_eq!(parse(&target.to_uri()), target, "{key}"),
                (Err(refusal), false) => {
                    let refusal = refusal.to_string();
                    assert!(refusal.contains(key) && refusal.len() > key.len() + 30, "{refusal}");
                    assert!(!refusal.contains("hidden"), "{refusal}");
                }
                (parsed, _) => panic!("{key}={value}: {parsed:?}"),
            }
        }
    }

    #[test]
    fn tls_at_once_needs_a_mode_that_insists_on_it() {
        for (text, is_valid) in [
            ("host=a sslnegotiation=direct", false),
            ("host=a sslnegotiation=direct sslmode=prefer", false),
            ("host=a sslnegotiation=direct sslmode=require", true),
            ("host=a sslnegotiation=direct sslrootcert=system", true),
            ("host=a sslnegotiation=maybe", false),
        ] {
            assert_eq!(text.parse::<ConnectionString>().is_ok(), is_valid, "{text}");
        }
        let uri = "postgres://a:5432?sslmode=require&sslnegotiation=direct&channel_binding=require";
        assert_eq!(parse(uri).to_uri(), uri);
    }

    #[test]
    fn both_forms_mean_the_same() {
        let uri = parse("postgresql://u:it's@h1,h2:1/d?sslmode=prefer");
        let pairs = parse(r"user=u password='it\'s' host=h1,h2 port=5432,1 dbname = d");
        assert_eq!(uri, pairs);
        assert_eq!(uri.hosts.len(), 2);
        assert_eq!(uri.ssl.mode, SslMode::Prefer);
        assert_eq!(parse("host=a,b port=7").hosts[1].port, 7);
        assert_eq!(parse("host=a sslrootcert=system").ssl.mode, SslMode::VerifyFull);
    }

    #[test]
    fn a_password_is_not_printed() {
        let target = parse("postgres://u:secret@h/d");
        assert_eq!(target.to_string(), "postgres://u:****@h:5432/d");
        assert!(!format!("{target:?}").contains("secret"));
        assert!(parse("host=h password=secret").to_uri().ends_with("?password=secret"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, why) in [
            ("postgres://u:secret@/d", "host is missing"),
            ("postgres://u:secret@h:port/d", "1 to 65535"),
            ("postgres://u:secret@h:0/d", "1 to 65535"),
            ("postgres://u:secret@h:70000/d", "1 to 65535"),
            ("postgres://u:secret@h/d?sslmode=on", "sslmode"),
            ("postgres://u:secret@h/d?colour=red", "no parameter \"colour\""),
            ("postgres://u:secret%zz@h/d", "hexadecimal"),
            ("postgres://u:secret@h/d%00", "code 0"),
            ("host=h password=secret user=a\0b", "code 0"),
            ("postgres://u:secret@[::1/d", "no \"]\""),
            ("host=h password='secret", "closing quote"),
            ("host=h password=secret require_auth=scram-sha-256", "require_auth cannot be used"),
            ("host=h password=secret target_session_attrs=standby", "as pg_autoctl writes"),
            ("host=h password=secret sslcertmode=require", "sslcertmode=require"),
            ("host=h password=secret ssl_min_protocol_version=SSLv3", "TLSv1.2"),
            ("host=h ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2", "above"),
            ("host=h password=secret sslrootcert=system sslmode=require", "sslmode=verify-full"),
            ("host=h password=secret hostaddr=db1", "hostaddr is an IP address"),
            ("host=a,b hostaddr=192.0.2.1 password=secret", "one address for each host"),
            ("host=h password=secret keepalives_idle=soon", "keepalives_idle is a whole number"),
            ("host=h password=secret connect_timeout=soon", "connect_timeout is a number"),
            ("host=h password=secret load_balance_hosts=maybe", "disable or random"),
            ("host=h password=secret sslsni=2", "sslsni is 0 or 1"),
            ("host=h service=no-such-service", "no-such-service"),
            ("http", "neither a URI (postgres://host/dbname) nor pairs of key=value: \"http\""),
            ("", "host is missing"),
            ("host=a,b,c port=1,2 password=secret", "one port"),
        ] {
            let message = text.parse::<ConnectionString>().expect_err(text).to_string();
            assert!(message.contains(why), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn what_libpq_takes_is_taken() {
        for (uri, printed) in [
            ("postgresql://h?ssl=true", "postgres://h:5432?sslmode=require"),
            ("host=h requiressl=1", "postgres://h:5432?sslmode=require"),
            ("hostaddr=192.0.2.1", "postgres://192.0.2.1:5432?hostaddr=192.0.2.1"),
            (
                "host=a,b hostaddr=192.0.2.1,192.0.2.2 port=1,2",
                "postgres://a:1,b:2?hostaddr=192.0.2.1%2C192.0.2.2",
            ),
            ("host=h sslrootcert=system", "postgres://h:5432?sslmode=verify-full&sslrootcert=system"),
            (
                "host=h ssl_min_protocol_version=tlsv1.2 sslcertmode=disable sslsni=0 passfile=/p",
                "postgres://h:5432?ssl_min_protocol_version=TLSv1.2&sslcertmode=disable&sslsni=0&passfile=/p",
            ),
            (
                "postgres://h/d?load_balance_hosts=random&connect_timeout=0&keepalives=1&krbsrvname=x",
                "postgres://h:5432/d?load_balance_hosts=random&keepalives=1&krbsrvname=x",
            ),
            ("host=h fallback_application_name=a", "postgres://h:5432?application_name=a"),
            (
                "host=h application_name=b fallback_application_name=a target_session_attrs=primary",
                "postgres://h:5432?target_session_attrs=read-write&application_name=b",
            ),
            (
                "host=h require_auth='' sslcertmode=allow sslsni=1 client_encoding=UTF8",
                "postgres://h:5432?client_encoding=UTF8",
            ),
        ] {
            assert_eq!(parse(uri).to_uri(), printed);
            assert_eq!(parse(printed), parse(uri));
        }
    }
}
