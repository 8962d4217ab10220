//! The files that belong to a PGDATA: its configuration, what the keeper must not forget, and who runs it.
//!
//! The configuration is an INI file with the sections and keys that `keys` lists. Everything is written atomically and
//! readable by its owner alone.

pub mod init_file;
pub mod manual;
pub mod pid_file;
pub mod state;

mod error;
mod file;
#[cfg(test)]
mod fuzz;
mod hook_command;
mod http;
mod keys;
mod limits;
mod members;
mod node;
mod paths;
mod values;

pub use error::ConfigError;
pub use hook_command::HookCommand;
pub use http::{HttpConfig, InvalidListenAddress, ListenAddress};
pub use members::{Member, parse_address, parse_members};
pub use node::{
    CitusConfig, MonitorConfig, MonitorsConfig, NodeConfig, PoolerConfig, PostgresConfig, ReplicationConfig,
    SslConfig, TimeoutConfig,
};
pub use paths::{OWN_FILES_DIRECTORY, Paths, absolute};
pub use values::{AuthMethod, CitusRole, HbaLevel, HttpAuth, Role, parse_duration, print_duration};

use std::path::Path;

/// The configuration of a PGDATA, whatever it is for.
#[derive(Clone, Debug)]
pub enum Config {
    /// Of a data node.
    Node(Box<NodeConfig>),
    /// Of the monitor.
    Monitor(Box<MonitorConfig>),
}

impl From<NodeConfig> for Config {
    fn from(config: NodeConfig) -> Self {
        Self::Node(Box::new(config))
    }
}

impl From<MonitorConfig> for Config {
    fn from(config: MonitorConfig) -> Self {
        Self::Monitor(Box::new(config))
    }
}

impl Config {
    /// Reads the configuration of this PGDATA.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn load(pgdata: &Path) -> Result<Self, ConfigError> {
        let paths = Paths::of(pgdata)?;
        let ini = file::read(&paths.config)?
            .ok_or_else(|| ConfigError::Missing { pgdata: pgdata.to_owned(), path: paths.config.clone() })?;
        match file::role(&paths.config, &ini)? {
            Role::Keeper => {
                let mut config = NodeConfig::empty(paths);
                file::apply(&config.paths.config.clone(), &ini, &mut config)?;
                Ok(Self::Node(Box::new(config)))
            }
            Role::Monitor => {
                let mut config = MonitorConfig::empty(paths);
                file::apply(&config.paths.config.clone(), &ini, &mut config)?;
                Ok(Self::Monitor(Box::new(config)))
            }
        }
    }

    /// Writes it to its file.
    ///
    /// # Errors
    /// The system's.
    pub fn store(&self) -> Result<(), ConfigError> {
        match self {
            Self::Node(config) => config.store(),
            Self::Monitor(config) => config.store(),
        }
    }

    /// The part about Postgres.
    pub const fn postgres(&self) -> &PostgresConfig {
        match self {
            Self::Node(config) => &config.postgres,
            Self::Monitor(config) => &config.postgres,
        }
    }

    /// The part about TLS.
    pub const fn ssl(&self) -> &SslConfig {
        match self {
            Self::Node(config) => &config.ssl,
            Self::Monitor(config) => &config.ssl,
        }
    }

    /// The part about TLS, to change it.
    pub const fn ssl_mut(&mut self) -> &mut SslConfig {
        match self {
            Self::Node(config) => &mut config.ssl,
            Self::Monitor(config) => &mut config.ssl,
        }
    }

    /// The part about HTTP.
    pub const fn http(&self) -> &HttpConfig {
        match self {
            Self::Node(config) => &config.http,
            Self::Monitor(config) => &config.http,
        }
    }

    /// Where its files are.
    pub const fn paths(&self) -> &Paths {
        match self {
            Self::Node(config) => &config.paths,
            Self::Monitor(config) => &config.paths,
        }
    }

    /// Every set key as (section, name, value), in the order of the file; passwords are masked when asked for.
    pub fn entries(&self, masks_secrets: bool) -> Vec<(&'static str, &'static str, String)> {
        match self {
            Self::Node(config) => file::entries(config.as_ref(), masks_secrets),
            Self::Monitor(config) => file::entries(config.as_ref(), masks_secrets),
        }
    }

    /// Sets `section.name`.
    ///
    /// # Errors
    /// An unknown name, a value it cannot have, or a key that is not for people to set.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        match self {
            Self::Node(config) => file::set(config.as_mut(), name, value),
            Self::Monitor(config) => file::set(config.as_mut(), name, value),
        }
    }

    /// The keys that are set and change nothing, as they are 2.2's alone; each with the reason.
    pub fn obsolete(&self) -> Vec<(String, &'static str)> {
        match self {
            Self::Node(config) => file::obsolete(config.as_ref()),
            Self::Monitor(config) => file::obsolete(config.as_ref()),
        }
    }

    /// The value of `section.name`; `None` when it is not set.
    ///
    /// # Errors
    /// An unknown name.
    pub fn get(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match self {
            Self::Node(config) => file::get(config.as_ref(), name),
            Self::Monitor(config) => file::get(config.as_ref(), name),
        }
    }
}

impl NodeConfig {
    /// Reads the configuration of a data node.
    ///
    /// # Errors
    /// There is none, it is not one, or it is a monitor's.
    pub fn load(pgdata: &Path) -> Result<Self, ConfigError> {
        match Config::load(pgdata)? {
            Config::Node(config) => Ok(*config),
            Config::Monitor(config) => {
                Err(ConfigError::Role { path: config.paths.config, role: Role::Monitor })
            }
        }
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As `load`.
    pub fn reload(&self) -> Result<Self, ConfigError> {
        match Config::load(&self.postgres.pgdata)? {
            Config::Node(config) if !self.is_monitor => Ok(*config),
            Config::Monitor(config) if self.is_monitor => Ok(config.as_node()),
            Config::Node(_) => Err(ConfigError::Role { path: self.paths.config.clone(), role: Role::Keeper }),
            Config::Monitor(_) => {
                Err(ConfigError::Role { path: self.paths.config.clone(), role: Role::Monitor })
            }
        }
    }

    /// Writes it to its file.
    ///
    /// # Errors
    /// The system's.
    pub fn store(&self) -> Result<(), ConfigError> {
        file::write(&self.paths.config, self)
    }
}

impl MonitorConfig {
    /// Writes it to its file.
    ///
    /// # Errors
    /// The system's.
    pub fn store(&self) -> Result<(), ConfigError> {
        file::write(&self.paths.config, self)
    }
}
