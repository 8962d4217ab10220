//! The monitors of which this one is one, as the operator has named them.

use std::collections::BTreeSet;
use std::fmt;

use pgaf_core::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};

/// Where the agents of monitors listen unless something else is said.
const DEFAULT_PORT: u16 = 5430;

/// One of the monitors: where its agent listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// The port of its agent.
    pub port: u16,
}

impl Member {
    /// One whose agent listens where agents do unless something else is said.
    pub const fn at_default_port(name: String, host: String) -> Self {
        Self { name, host, port: DEFAULT_PORT }
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address())
    }
}

/// Reads `m1=host1,m2=host2:5431,m3=[address]:5430`; the numbers of the monitors are the places of their names in order,
/// so that every monitor finds the same ones.
///
/// # Errors
/// What is no monitor, or is there twice.
pub fn parse_members(text: &str) -> Result<Vec<(u64, Member)>, String> {
    let mut members: Vec<Member> =
        text.split(',').map(|part| parse_member(part.trim())).collect::<Result<_, _>>()?;
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for pair in members.windows(2) {
        if let [first, second] = pair
            && first.name == second.name
        {
            return Err(format!("two monitors are called \"{}\"", first.name));
        }
    }
    let addresses: BTreeSet<_> = members.iter().map(|of| (&of.host, of.port)).collect();
    if addresses.len() != members.len() {
        return Err("two monitors have the same host and port".to_owned());
    }
    Ok((1..).zip(members).collect())
}

/// The same as it is kept, where each monitor may have its number: `1:m1=host1:5430,4:m4=host4:5430`.
///
/// # Errors
/// What is no monitor, or is there twice.
pub(super) fn parse_numbered(text: &str) -> Result<Vec<(u64, Member)>, String> {
    let numbered = |part: &str| {
        let (number, member) = part.trim().split_once(':')?;
        Some((number.parse::<u64>().ok()?, member.to_owned()))
    };
    let Some(parts) = text.split(',').map(numbered).collect::<Option<Vec<_>>>() else {
        return parse_members(text);
    };
    let plain: Vec<&str> = parts.iter().map(|(_, member)| member.as_str()).collect();
    parse_members(&plain.join(","))?;
    let mut members: Vec<(u64, Member)> = parts
        .iter()
        .map(|(number, member)| Ok((*number, parse_member(member)?)))
        .collect::<Result<_, String>>()?;
    members.sort_unstable_by_key(|(number, _)| *number);
    if members.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
        return Err("two monitors have the same number".to_owned());
    }
    Ok(members)
}

/// Reads where the agent of a monitor listens: `host`, `host:port` or `[address]:port`.
///
/// # Errors
/// What is no address.
pub fn parse_address(text: &str) -> Result<(String, u16), String> {
    let member = parse_member(&format!("monitor={text}"))
        .map_err(|_| format!("\"{text}\" is not where a monitor is: write host or host:port"))?;
    Ok((member.host, member.port))
}

fn parse_member(text: &str) -> Result<Member, String> {
    let wrong = || format!("\"{text}\" is not a monitor: write name=host or name=host:port");
    let (name, address) = text.split_once('=').ok_or_else(wrong)?;
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            (host, port.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None => DEFAULT_PORT,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain);
    let is_host = !host.is_empty() && host.chars().all(|c| is_plain(c) || c == ':' || c == '%');
    if !is_name || !is_host {
        return Err(wrong());
    }
    Ok(Member { name: name.to_owned(), host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_monitor_finds_the_same_numbers() {
        let one = parse_members("m2=b:5431,m1=a,m3=[2001:db8::1]:7").expect("valid");
        let other = parse_members("m3=[2001:db8::1]:7, m2=b:5431, m1=a:5430").expect("valid");
        assert_eq!(one, other);
        let (number, member) = one.first().expect("three");
        assert_eq!((*number, member.to_string().as_str()), (1, "m1=a:5430"));
        assert_eq!(one.last().map(|(_, member)| member.to_string()).as_deref(), Some("m3=[2001:db8::1]:7"));
    }

    #[test]
    fn numbers_are_kept() {
        let members = parse_numbered("1:m1=a:5430,4:m4=[::1]:7,3:m3=c:5430").expect("valid");
        let numbers: Vec<u64> = members.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 3, 4]);
        assert_eq!(parse_numbered("m2=b,m1=a"), parse_members("m1=a,m2=b"));
        for text in ["1:m1=a,1:m2=b", "1:m1=a,2:m1=b", "1:m1=a,m2=b:x", "1:"] {
            assert!(parse_numbered(text).is_err(), "{text}");
        }
        assert_eq!(parse_address("m1.example.org"), Ok(("m1.example.org".to_owned(), DEFAULT_PORT)));
        assert_eq!(parse_address("[::1]:9"), Ok(("::1".to_owned(), 9)));
        assert!(parse_address("a b").is_err());
    }

    #[test]
    fn what_is_no_monitor_is_refused() {
        for text in ["", "m1", "m1=", "=a", "m1=a:0", "m1=a:x", "m1=a,m1=b", "m1=a,m2=a", "m 1=a", "m1=[::1"]
        {
            assert!(parse_members(text).is_err(), "{text}");
        }
    }
}
