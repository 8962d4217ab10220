//! The configuration file: an INI file, read and written through the table of keys.

use std::io;
use std::path::Path;

use ini::{EscapePolicy, Ini, ParseOption, WriteOption};

use super::error::ConfigError;
use super::keys::{Access, HasKeys, Key};
use super::limits::Unworkable;
use super::values::Role;
use crate::files::atomic;

/// Reads the file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Ini>, ConfigError> {
    let content = match std::fs::read_to_string(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ConfigError::file("cannot read", path, &error)),
    };
    // A line ends where it ends, with a backslash, too: to the parser it would go on. It drops the space again.
    let content = content.replace("\\\n", "\\ \n");
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    Ini::load_from_str_opt(&content, options)
        .map(Some)
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })
}

/// What the file says it is for.
pub(super) fn role(path: &Path, ini: &Ini) -> Result<Role, ConfigError> {
    const NAME: &str = "pg_autoctl.role";
    let text = ini
        .get_from(Some("pg_autoctl"), "role")
        .ok_or_else(|| ConfigError::NotSet { path: path.to_owned(), name: NAME.to_owned() })?;
    text.parse()
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: format!("{NAME}: {error}") })
}

/// Takes every value of the file over. A key that is not known is left out, with a warning that names its line: the file
/// may be another version's. A key that must have a value and has none is an error.
pub(super) fn apply<C: HasKeys>(path: &Path, ini: &Ini, config: &mut C) -> Result<(), ConfigError> {
    let keys = C::keys();
    for (section, properties) in ini {
        for (name, value) in properties {
            let full_name = match section {
                Some(section) => format!("{section}.{name}"),
                None => name.to_owned(),
            };
            let Ok(key) = find(&keys, &full_name) else {
                tracing::warn!(
                    "{}: setting \"{full_name}\" is not known and changes nothing",
                    place(path, name)
                );
                continue;
            };
            (key.read)(config, value)
                .map_err(|reason| invalid(&full_name, reason))
                .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })?;
        }
    }
    for key in keys {
        // What was not in the file is a default, or nothing: where nothing will not do, it does not read back.
        let text = (key.stored)(config);
        if text.is_some_and(|text| (key.read)(config, &text).is_err()) {
            return Err(ConfigError::NotSet { path: path.to_owned(), name: key.full_name() });
        }
    }
    replace_unworkable(path, config)
}

/// A file can have been edited to anything. The node goes on with the nearest that works, and says so.
fn replace_unworkable<C: HasKeys>(path: &Path, config: &mut C) -> Result<(), ConfigError> {
    let keys = C::keys();
    for Unworkable { name, nearest, reason } in config.unworkable() {
        tracing::warn!("{name} in \"{}\": {reason}; {nearest} is used instead", path.display());
        let key = find(&keys, name)?;
        (key.read)(config, &nearest).map_err(|reason| invalid(name, reason))?;
    }
    Ok(())
}

/// File and line where a key is set; the parser does not tell.
fn place(path: &Path, name: &str) -> String {
    let content = std::fs::read_to_string(path).unwrap_or_default();
    let is_set = |line: &str| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['=', ':']))
    };
    let line = content.lines().position(is_set).map(|index| format!(" line {}", index + 1));
    format!("\"{}\"{}", path.display(), line.unwrap_or_default())
}

/// The set keys that change nothing, each with the reason.
pub(super) fn obsolete<C: HasKeys>(config: &C) -> Vec<(String, &'static str)> {
    let of_key = |key: Key<C>| match key.access {
        Access::Obsolete(why) if (key.stored)(config).is_some() => Some((key.full_name(), why)),
        _ => None,
    };
    C::keys().into_iter().filter_map(of_key).collect()
}

/// Writes the file.
pub(super) fn write<C: HasKeys>(path: &Path, config: &C) -> Result<(), ConfigError> {
    let mut ini = Ini::new();
    for (section, name, value) in entries(config, false) {
        ini.set_to(Some(section), name.to_owned(), value);
    }
    let options =
        WriteOption { escape_policy: EscapePolicy::Nothing, kv_separator: " = ", ..WriteOption::default() };
    let mut content = Vec::new();
    ini.write_to_opt(&mut content, options)
        .and_then(|()| atomic::write(path, &content))
        .map_err(|error| ConfigError::file("cannot write", path, &error))
}

/// Every set key, in order.
pub(super) fn entries<C: HasKeys>(
    config: &C,
    masks_secrets: bool,
) -> Vec<(&'static str, &'static str, String)> {
    C::keys()
        .into_iter()
        .filter_map(|key| {
            let print = if masks_secrets { key.shown } else { key.stored };
            Some((key.section, key.name, print(config)?))
        })
        .collect()
}

/// Sets a key by its full name, as a person asked.
pub(super) fn set<C: HasKeys>(config: &mut C, name: &str, value: &str) -> Result<(), ConfigError> {
    let keys = C::keys();
    let key = find(&keys, name)?;
    match key.access {
        Access::Fixed => return Err(ConfigError::Fixed { name: name.to_owned() }),
        Access::Obsolete(why) => tracing::warn!("{name} changes nothing: {why}"),
        Access::Settable => {}
    }
    if value.contains(['\n', '\r']) {
        return Err(invalid(name, "a value is one line"));
    }
    if value != value.trim() {
        // The file cannot have them.
        return Err(invalid(name, "a value neither begins nor ends with a space"));
    }
    (key.read)(config, value).map_err(|reason| invalid(name, reason))?;
    match config.unworkable().into_iter().find(|unworkable| unworkable.name == name) {
        Some(unworkable) => Err(invalid(name, unworkable.reason)),
        None => Ok(()),
    }
}

/// The shown value of a key.
pub(super) fn get<C: HasKeys>(config: &C, name: &str) -> Result<Option<String>, ConfigError> {
    let keys = C::keys();
    find(&keys, name).map(|key| (key.shown)(config))
}

fn find<'a, C>(keys: &'a [Key<C>], name: &str) -> Result<&'a Key<C>, ConfigError> {
    keys.iter().find(|key| key.full_name() == name).ok_or_else(|| {
        let known: Vec<String> = keys.iter().map(Key::full_name).collect();
        ConfigError::UnknownKey { name: name.to_owned(), known: known.join(", ") }
    })
}

fn invalid(name: &str, reason: impl ToString) -> ConfigError {
    ConfigError::InvalidValue { name: name.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::{NodeConfig, Paths};
    use super::*;

    fn config(directory: &Path) -> NodeConfig {
        let mut config = NodeConfig::empty(Paths {
            config: directory.join("pg_autoctl.cfg"),
            state: PathBuf::new(),
            init: PathBuf::new(),
            pid: PathBuf::new(),
        });
        config.postgres.pgdata = "/data/pg".into();
        config.postgres.pg_ctl = "/bin/pg_ctl".into();
        config.hostname = "h".to_owned();
        config
    }

    fn reread(config: &NodeConfig) -> NodeConfig {
        let ini = read(&config.paths.config).expect("read").expect("there");
        assert_eq!(role(&config.paths.config, &ini).expect("a role"), Role::Keeper);
        let mut again = NodeConfig::empty(config.paths.clone());
        apply(&config.paths.config, &ini, &mut again).expect("applied");
        again
    }

    #[test]
    fn a_configuration_reads_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        for (name, value) in [
            ("pg_autoctl.monitor", "postgres://u:s%20e#c;=\"'\\@h:1/d?sslmode=require"),
            ("replication.password", "a \"quoted\" = # ; 'one' \\n\\"),
            ("timeout.network_partition_timeout", "2500ms"),
            ("replication.backup_directory", "/somewhere else"),
            ("timeout.citus_coordinator_wait_timeout", "5"),
        ] {
            set(&mut config, name, value).expect(name);
        }
        write(&config.paths.config, &config).expect("written");
        let again = reread(&config);
        assert_eq!(entries(&config, false), entries(&again, false));
        assert_eq!(again.timeout.network_partition, Duration::from_millis(2500));
        assert_eq!(again.monitor, config.monitor);
    }

    #[test]
    fn a_node_without_a_monitor_reads_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        for monitor in ["postgres://u@h:1/d", "PG_AUTOCTL_DISABLED"] {
            set(&mut config, "pg_autoctl.monitor", monitor).expect("set");
            write(&config.paths.config, &config).expect("written");
            assert_eq!(get(&reread(&config), "pg_autoctl.monitor").expect("known").as_deref(), Some(monitor));
        }
        assert_eq!(config.monitor, None);
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut config = config(Path::new("/"));
        set(&mut config, "pg_autoctl.monitor", "postgres://u:secret@h/d").expect("set");
        set(&mut config, "replication.password", "secret").expect("set");
        let shown = format!("{:?} {:?}", entries(&config, true), config);
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(get(&config, "replication.password").expect("known"), Some("****".to_owned()));
    }

    #[test]
    fn what_cannot_be_set_is_said() {
        let mut config = config(Path::new("/"));
        for (name, value, why) in [
            ("postgresql.colour", "red", "the settings are pg_autoctl.role"),
            ("pg_autoctl.formation", "other", "fixed when the node was made"),
            ("timeout.citus_coordinator_wait_max_retries", "many", "a number of tries"),
            ("postgresql.hba_level", "all", "none, minimal, lan"),
            ("timeout.network_partition_timeout", "soon", "not a time"),
            ("timeout.network_partition_timeout", "0", "the least is 2 seconds"),
            ("timeout.network_partition_timeout", "1999ms", "the least is 2 seconds"),
            ("replication.maximum_backup_rate", "10G", "100M"),
            ("replication.maximum_backup_rate", "31k", "32k to 1024M"),
            ("replication.maximum_backup_rate", "0", "32k to 1024M"),
            ("replication.maximum_backup_rate", "1025M", "32k to 1024M"),
            ("replication.backup_directory", "here", "absolute"),
            ("pg_autoctl.monitor", "http://x", "connection string"),
            ("pg_autoctl.monitor", "", "disable monitor"),
            ("replication.password", "a\nb", "one line"),
            ("replication.password", " a", "begins"),
        ] {
            let message = set(&mut config, name, value).expect_err(name).to_string();
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn what_does_not_work_is_replaced_when_a_file_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(directory.path());
        config.timeout.network_partition = Duration::ZERO;
        config.replication.maximum_backup_rate = "2000M".to_owned();
        write(&config.paths.config, &config).expect("written");
        let again = reread(&config);
        assert_eq!(again.timeout.network_partition, Duration::from_secs(2));
        assert_eq!(again.replication.maximum_backup_rate, "1024M");
    }
}
