//! Roles and databases whose commits wait for no standby, because `synchronous_commit` is set for them. Postgres lets
//! them, and a monitor that counts on every commit must know.

use postgres_protocol::escape::escape_identifier;
use serde::Deserialize;

/// A setting of the server, for its postgresql.conf: the keeper of the primary resets such settings.
pub(crate) const REQUIREMENT: &str = "pgautofailover.require_synchronous_commit";

/// A JSON array of all of them.
pub(crate) const QUERY: &str = "\
SELECT coalesce(json_agg(json_build_object('role', nullif(s.setrole, 0)::regrole, 'database', d.datname, 'setting', c)), '[]')
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
WHERE lower(c) IN ('synchronous_commit=off', 'synchronous_commit=local', 'synchronous_commit=false',
                   'synchronous_commit=no', 'synchronous_commit=0')";

/// A role, a database, or a role in a database.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OptOut {
    role: Option<String>,
    database: Option<String>,
    setting: String,
}

impl OptOut {
    /// For people: who, and how it ends.
    pub(crate) fn describe(&self) -> String {
        let (whose, statement) = self.end();
        format!("commits wait for no standby, as {whose} has {}: {statement}", self.setting_shown())
    }

    /// `synchronous_commit = off`
    pub(crate) fn setting_shown(&self) -> String {
        self.setting.replace('=', " = ")
    }

    /// Whose setting it is, and the statement that takes it back.
    pub(crate) fn end(&self) -> (String, String) {
        let database = self.database.as_deref().map(escape_identifier);
        match (&self.role, &database) {
            (Some(role), None) => {
                (format!("role {role}"), format!("ALTER ROLE {role} RESET synchronous_commit"))
            }
            (Some(role), Some(database)) => (
                format!("role {role} in database {database}"),
                format!("ALTER ROLE {role} IN DATABASE {database} RESET synchronous_commit"),
            ),
            (None, Some(database)) => (
                format!("database {database}"),
                format!("ALTER DATABASE {database} RESET synchronous_commit"),
            ),
            (None, None) => ("every role".to_owned(), "ALTER ROLE ALL RESET synchronous_commit".to_owned()),
        }
    }
}

/// Words for `off` that a configuration file may have.
pub(crate) fn is_asynchronous(synchronous_commit: &str) -> bool {
    ["off", "local", "false", "no", "0"].iter().any(|word| synchronous_commit.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_it_is_and_how_it_ends_is_said() {
        let said = |json: &str| serde_json::from_str::<OptOut>(json).expect("one").describe();
        let role = said(r#"{"role":"app","database":null,"setting":"synchronous_commit=off"}"#);
        assert!(role.contains("role app has synchronous_commit = off"), "{role}");
        assert!(role.ends_with("ALTER ROLE app RESET synchronous_commit"), "{role}");
        let both = said(r#"{"role":"\"A\"","database":"d","setting":"synchronous_commit=local"}"#);
        assert!(both.ends_with("ALTER ROLE \"A\" IN DATABASE \"d\" RESET synchronous_commit"), "{both}");
        let all = said(r#"{"role":null,"database":null,"setting":"synchronous_commit=0"}"#);
        assert!(all.contains("every role"), "{all}");
    }
}
