//! Our lines of pg_ident.conf: the user who runs Postgres may be the keeper's role, whatever that is called.

use crate::postgres::server::{InstanceConfig, PostgresError, files};
use crate::user;

/// The name of the map.
pub(crate) const MAP: &str = "pg_autoctl";

const COMMENT: &str = "# written by pg_autoctl";

/// Sees to it that the map has this user, and nobody else; false when that was so.
pub(crate) fn update(config: &InstanceConfig) -> Result<bool, PostgresError> {
    let Some(user) = user::name() else {
        return Ok(false);
    };
    let path = config.in_pgdata("pg_ident.conf");
    let content = files::read_if_there(&path)?.unwrap_or_default();
    let wanted = with_map(&content, &user, &config.superuser);
    if wanted != content {
        files::replace(&path, wanted.as_bytes(), 0o600)?;
    }
    Ok(wanted != content)
}

fn with_map(content: &str, user: &str, role: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', ""));
    let is_ours = |line: &str| line.split_whitespace().next() == Some(MAP);
    let kept = content.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n"));
    kept.collect::<String>() + &format!("{MAP} {} {} {COMMENT}\n", quoted(user), quoted(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_there_once_and_other_maps_stay() {
        let once = with_map("# mine\nmine me you\n", "postgres", "dba");
        assert_eq!(once, "# mine\nmine me you\npg_autoctl \"postgres\" \"dba\" # written by pg_autoctl\n");
        assert_eq!(with_map(&once, "postgres", "dba"), once);
        assert_eq!(with_map(&once, "postgres", "other").matches("pg_autoctl \"").count(), 1);
    }
}
