//! The password file of libpq: `host:port:database:user:password`, one a line, `*` for any.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::secret::Secret;
use crate::user;

/// What a password is looked for.
pub(super) struct Login<'a> {
    /// As it is in the connection string; `localhost` for a socket.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The password when the connection string has none: of the environment, or of the password file.
pub(super) fn password(file: Option<&Path>, login: &Login<'_>) -> Option<Secret> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(password) = variable("PGPASSWORD").and_then(|password| password.into_string().ok()) {
        return Some(Secret::new(password));
    }
    let named = file.map(Path::to_owned).or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let path = named.or_else(|| user::home().map(|home| home.join(".pgpass")))?;
    match read(&path) {
        Ok(content) => find(&content, login).map(Secret::new),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!("password file \"{}\" is not used: {error}", path.display());
            None
        }
    }
}

/// libpq does not read a file that others can read.
fn read(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others can read it, set its permissions to 0600"));
    }
    std::fs::read_to_string(path)
}

fn find(content: &str, login: &Login<'_>) -> Option<String> {
    let port = login.port.to_string();
    let wanted = [login.host, &port, login.dbname, login.user];
    content.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, after) = take_field(rest)?;
            if field != "*" && unescape(field) != wanted {
                return None;
            }
            rest = after?;
        }
        let (password, _) = take_field(rest)?;
        (!password.is_empty()).then(|| unescape(password))
    })
}

/// The text up to the next colon that no backslash precedes, and what comes after it.
fn take_field(text: &str) -> Option<(&str, Option<&str>)> {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ':' => return Some((&text[..at], Some(&text[at + 1..]))),
            _ => {}
        }
    }
    Some((text, None))
}

fn unescape(field: &str) -> String {
    let mut characters = field.chars();
    let mut plain = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            character => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn login(host: &str) -> Login<'_> {
        Login { host, port: 5432, dbname: "pg_auto_failover", user: "autoctl_node" }
    }

    #[test]
    fn the_first_line_that_fits_counts() {
        let content = "# h:*:*:*:no\nh:5433:*:*:other port\nh:5432:postgres:*:other database\n\
                       fe80\\:\\:1:*:*:*:a\\:b\\\\c\nh:*:*:autoctl_node:right\nh:*:*:*:late\n*:*:*:*:any\nh:1\n";
        assert_eq!(find(content, &login("h")).as_deref(), Some("right"));
        assert_eq!(find(content, &login("fe80::1")).as_deref(), Some("a:b\\c"));
        assert_eq!(find(content, &login("x")).as_deref(), Some("any"));
        assert_eq!(find("h:5432\n", &login("h")), None);
        assert_eq!(find("h:5432:*:*:\n", &login("h")), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:secret\n").expect("written");
        for (mode, is_used) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(read(&path).is_ok(), is_used, "{mode:o}");
        }
        assert!(read(directory.path()).is_err());
    }
}
