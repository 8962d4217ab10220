//! Reads connection strings, as libpq does.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::connection_string::{ConnectionString, Host, InvalidConnectionString};
use super::secret::Secret;
use super::ssl::{SYSTEM_AUTHORITIES, SslMode};

/// Postgres's own default.
const DEFAULT_PORT: u16 = 5432;

/// Parameters of libpq that are taken and change nothing here: time-outs and keepalives are always set by us.
const WITHOUT_EFFECT: [&str; 11] = [
    "channel_binding",
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];

/// It ends every text that is sent to a server.
const NO_ZERO: &str = "the character with the code 0 cannot be part of it";

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
        let is_harmless = !text.contains('@') && !text.contains("password");
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
            "sslmode" => {
                self.ssl.mode =
                    value.parse().map_err(|unknown| InvalidConnectionString(format!("{unknown}")))?;
            }
            "sslrootcert" => self.ssl.root_cert = file(),
            "sslcert" => self.ssl.cert = file(),
            "sslkey" => self.ssl.key = file(),
            "sslcrl" => self.ssl.crl = file(),
            "application_name" => self.application_name = text(),
            "options" => self.options = text(),
            "connect_timeout" => match value.parse() {
                Ok(0) => self.connect_timeout = None,
                Ok(seconds) => self.connect_timeout = Some(Duration::from_secs(seconds)),
                Err(_) => return invalid("connect_timeout is a number of seconds"),
            },
            "target_session_attrs" => match value {
                "read-write" | "primary" => self.needs_writer = true,
                "any" => self.needs_writer = false,
                _ => return invalid("target_session_attrs is \"any\" or \"read-write\" here"),
            },
            _ if WITHOUT_EFFECT.contains(&key) => {}
            _ => return invalid(format!("there is no parameter \"{key}\"")),
        }
        Ok(())
    }

    fn finish(mut self, hosts: &[String], ports: &[String]) -> Result<Self, InvalidConnectionString> {
        let port = |text: &str| match text {
            "" => Ok(DEFAULT_PORT),
            _ => match text.parse() {
                Ok(0) | Err(_) => invalid("a port is a number from 1 to 65535"),
                Ok(port) => Ok(port),
            },
        };
        if ports.len() > 1 && ports.len() != hosts.len() {
            return invalid("there must be one port for all hosts, or one for each");
        }
        for (index, name) in hosts.iter().enumerate() {
            if name.is_empty() {
                return invalid("a host is missing");
            }
            let text = ports.get(index).or(ports.first()).map_or("", |text| text);
            self.hosts.push(Host { name: name.clone(), port: port(text)? });
        }
        if self.hosts.is_empty() {
            return invalid("a host is missing");
        }
        if self.ssl.root_cert.as_deref().is_some_and(|root| root.as_os_str() == SYSTEM_AUTHORITIES) {
            match self.ssl.mode {
                // Whoever trusts the world's authorities has to look at the name.
                SslMode::Prefer | SslMode::VerifyFull => self.ssl.mode = SslMode::VerifyFull,
                weak => return invalid(format!("sslrootcert=system needs sslmode verify-full, not {weak}")),
            }
        }
        Ok(self)
    }

    fn parse_uri(rest: &str) -> Result<Self, InvalidConnectionString> {
        let mut parsed = Self::default();
        let (before_query, query) = split_at_char(rest, '?');
        let (authority, path) = split_at_char(before_query, '/');
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((credentials, servers)) => (Some(credentials), servers),
            None => (None, authority),
        };
        if let Some(credentials) = credentials {
            let (user, password) = split_at_char(credentials, ':');
            parsed.set("user", &decode(user)?)?;
            parsed.set("password", &decode(password.unwrap_or(""))?)?;
        }
        parsed.set("dbname", &decode(path.unwrap_or(""))?)?;
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for server in servers.split(',').filter(|_| !servers.is_empty()) {
            let (host, port) = split_server(server)?;
            hosts.push(decode(host)?);
            ports.push(port.to_owned());
        }
        for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return invalid("a parameter after \"?\" has no value");
            };
            let (key, value) = (decode(key)?, decode(value)?);
            match key.as_str() {
                "host" => hosts = split_list(&value),
                "port" => ports = split_list(&value),
                key => parsed.set(key, &value)?,
            }
        }
        parsed.finish(&hosts, &ports)
    }

    fn parse_pairs(text: &str) -> Result<Self, InvalidConnectionString> {
        let mut parsed = Self::default();
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let Some((key, after)) = rest.split_once('=') else {
                return invalid("it is neither a URI (postgres://host/dbname) nor pairs of key=value");
            };
            let (value, after) = take_value(after.trim_start())?;
            match key.trim() {
                "host" | "hostaddr" => hosts = split_list(&value),
                "port" => ports = split_list(&value),
                key => parsed.set(key, &value)?,
            }
            rest = after.trim_start();
        }
        parsed.finish(&hosts, &ports)
    }
}

fn invalid<T>(why: impl Into<String>) -> Result<T, InvalidConnectionString> {
    Err(InvalidConnectionString(why.into()))
}

fn split_at_char(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn split_list(text: &str) -> Vec<String> {
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
            ("postgres://u:secret@h/d?sslrootcert=system&sslmode=require", "verify-full, not require"),
            ("postgres://u:secret@h/d?colour=red", "no parameter \"colour\""),
            ("postgres://u:secret%zz@h/d", "hexadecimal"),
            ("postgres://u:secret@h/d%00", "code 0"),
            ("host=h password=secret user=a\0b", "code 0"),
            ("postgres://u:secret@[::1/d", "no \"]\""),
            ("host=h password='secret", "closing quote"),
            ("http", "neither a URI (postgres://host/dbname) nor pairs of key=value: \"http\""),
            ("", "host is missing"),
            ("host=a,b,c port=1,2 password=secret", "one port"),
        ] {
            let message = text.parse::<ConnectionString>().expect_err(text).to_string();
            assert!(message.contains(why), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
