//! The keys of the configuration file: their names, how each is read and written, and who may set it.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use pgaf_core::GroupId;
use pgaf_core::keeper::HookKind;

use super::http::HttpConfig;
use super::limits::{self, Unworkable};
use super::members::{parse_address, parse_numbered};
use super::node::{MonitorConfig, NodeConfig, PostgresConfig, SslConfig};
use super::values::{HbaLevel, HttpAuth, Role, parse_duration, print_duration};
use crate::client::{ConnectionString, Host, MASK, Secret};

/// In the place of the monitor's URI, when the node has no monitor.
const DISABLED: &str = "PG_AUTOCTL_DISABLED";

fn disabled() -> String {
    DISABLED.to_owned()
}

/// Who may change a key after the node was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// `config set` may.
    Settable,
    /// Nobody may: it was chosen when the node was made.
    Fixed,
    /// 2.2 has it, and here it changes nothing, for this reason.
    Obsolete(&'static str),
}

use Access::{Fixed, Obsolete, Settable};

/// How a value is written.
type Print<C> = fn(&C) -> Option<String>;
/// How a value is read; the error says why not.
type Read<C> = fn(&mut C, &str) -> Result<(), String>;

/// One key of the configuration `C`.
pub(super) struct Key<C> {
    /// The section.
    pub(super) section: &'static str,
    /// The name within it.
    pub(super) name: &'static str,
    /// Who may set it.
    pub(super) access: Access,
    /// The value as it is written to the file.
    pub(super) stored: Print<C>,
    /// The value as it is shown: without passwords.
    pub(super) shown: Print<C>,
    /// Takes a value over.
    pub(super) read: Read<C>,
}

impl<C> Key<C> {
    /// `section.name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// A configuration that has keys.
pub(super) trait HasKeys: Sized + 'static {
    /// Every key, in the order of the file.
    fn keys() -> Vec<Key<Self>>;

    /// The keys whose values nothing works with.
    fn unworkable(&self) -> Vec<Unworkable> {
        Vec::new()
    }
}

/// The parts that both configurations have.
trait Server {
    fn postgres(&self) -> &PostgresConfig;
    fn postgres_mut(&mut self) -> &mut PostgresConfig;
    fn ssl(&self) -> &SslConfig;
    fn ssl_mut(&mut self) -> &mut SslConfig;
    fn http(&self) -> &HttpConfig;
    fn http_mut(&mut self) -> &mut HttpConfig;
}

macro_rules! server {
    ($config:ty) => {
        impl Server for $config {
            fn postgres(&self) -> &PostgresConfig {
                &self.postgres
            }
            fn postgres_mut(&mut self) -> &mut PostgresConfig {
                &mut self.postgres
            }
            fn ssl(&self) -> &SslConfig {
                &self.ssl
            }
            fn ssl_mut(&mut self) -> &mut SslConfig {
                &mut self.ssl
            }
            fn http(&self) -> &HttpConfig {
                &self.http
            }
            fn http_mut(&mut self) -> &mut HttpConfig {
                &mut self.http
            }
        }
    };
}
server!(NodeConfig);
server!(MonitorConfig);

/// A key that is shown as it is stored: how it is printed, and the assignment that takes a text over.
macro_rules! key {
    ($section:expr, $name:literal, $access:expr, |$config:ident| $print:expr, |$text:ident| $assign:expr $(,)?) => {
        Key {
            section: $section,
            name: $name,
            access: $access,
            stored: |$config| $print,
            shown: |$config| $print,
            read: |$config, $text| {
                $assign;
                Ok(())
            },
        }
    };
}

/// A key that is kept as it is written, once it has been checked, and read by nobody.
macro_rules! obsolete {
    ($section:expr, $name:literal, $why:literal, $check:expr) => {
        Key {
            section: $section,
            name: $name,
            access: Obsolete($why),
            stored: |config| config.obsolete.get($name).cloned(),
            shown: |config| config.obsolete.get($name).cloned(),
            read: |config, text| {
                $check(text)?;
                if text.is_empty() {
                    config.obsolete.remove($name);
                } else {
                    config.obsolete.insert($name, text.to_owned());
                }
                Ok(())
            },
        }
    };
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn number<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not {what}"))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("\"{text}\" is not a port, a number from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

fn required(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a value is needed".to_owned()) } else { Ok(text.to_owned()) }
}

fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn path(file: &Option<PathBuf>) -> Option<String> {
    file.as_ref().map(|file| file.display().to_string())
}

fn absolute_file(text: &str) -> Result<Option<PathBuf>, String> {
    let file = optional(text).map(PathBuf::from);
    match file {
        Some(file) if file.is_relative() => Err(format!("\"{text}\" is not an absolute path")),
        file => Ok(file),
    }
}

/// As pg_basebackup takes it: a number, with k or M.
fn backup_rate(text: &str) -> Result<String, String> {
    match limits::kilobytes(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("\"{text}\" is not a rate per second like 100M or 512k")),
    }
}

/// Also in the words of 2.2.
fn hba_level(text: &str) -> Result<HbaLevel, String> {
    match text {
        "skip" => Ok(HbaLevel::None),
        "app" => Ok(HbaLevel::Lan),
        text => parse(text),
    }
}

fn postgres_keys<C: Server>() -> Vec<Key<C>> {
    const SECTION: &str = "postgresql";
    vec![
        key!(SECTION, "pgdata", Fixed, |c| Some(c.postgres().pgdata.display().to_string()), |text| c
            .postgres_mut()
            .pgdata =
            required(text)?.into(),),
        key!(SECTION, "pg_ctl", Settable, |c| Some(c.postgres().pg_ctl.display().to_string()), |text| c
            .postgres_mut()
            .pg_ctl =
            required(text)?.into(),),
        key!(SECTION, "username", Settable, |c| Some(c.postgres().username.clone()), |text| c
            .postgres_mut()
            .username =
            required(text)?,),
        key!(SECTION, "dbname", Fixed, |c| Some(c.postgres().dbname.clone()), |text| c
            .postgres_mut()
            .dbname =
            required(text)?,),
        key!(SECTION, "host", Settable, |c| c.postgres().host.clone(), |text| c.postgres_mut().host =
            optional(text),),
        key!(SECTION, "port", Settable, |c| Some(c.postgres().port.to_string()), |text| c
            .postgres_mut()
            .port =
            port(text)?,),
        key!(SECTION, "proxyport", Settable, |c| Some(c.postgres().proxy_port.to_string()), |text| c
            .postgres_mut()
            .proxy_port =
            number(text, "a port")?,),
        key!(
            SECTION,
            "listen_addresses",
            Settable,
            |c| Some(c.postgres().listen_addresses.clone()),
            |text| c.postgres_mut().listen_addresses = required(text)?,
        ),
        key!(SECTION, "auth_method", Settable, |c| Some(c.postgres().auth_method.to_string()), |text| c
            .postgres_mut()
            .auth_method =
            parse(text)?,),
        key!(SECTION, "hba_level", Settable, |c| Some(c.postgres().hba_level.to_string()), |text| c
            .postgres_mut()
            .hba_level =
            hba_level(text)?,),
    ]
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" | "yes" => Ok(true),
        "0" | "off" | "false" | "no" => Ok(false),
        _ => Err(format!("\"{text}\" is neither 1 nor 0")),
    }
}

/// A flag that is written only when it is set.
fn follows(is_set: bool) -> Option<String> {
    is_set.then(|| "1".to_owned())
}

fn ssl_keys<C: Server>() -> Vec<Key<C>> {
    const SECTION: &str = "ssl";
    vec![
        key!(SECTION, "active", Settable, |c| Some(u8::from(c.ssl().is_active).to_string()), |text| c
            .ssl_mut()
            .is_active =
            flag(text)?,),
        key!(SECTION, "sslmode", Settable, |c| Some(c.ssl().mode.to_string()), |text| c.ssl_mut().mode =
            parse(text)?,),
        key!(
            SECTION,
            "self_signed",
            Settable,
            |c| Some(u8::from(c.ssl().is_self_signed).to_string()),
            |text| c.ssl_mut().is_self_signed = flag(text)?,
        ),
        key!(SECTION, "cert_file", Settable, |c| path(&c.ssl().cert_file), |text| c.ssl_mut().cert_file =
            absolute_file(text)?,),
        key!(SECTION, "key_file", Settable, |c| path(&c.ssl().key_file), |text| c.ssl_mut().key_file =
            absolute_file(text)?,),
        key!(SECTION, "ca_file", Settable, |c| path(&c.ssl().ca_file), |text| c.ssl_mut().ca_file =
            absolute_file(text)?,),
        key!(SECTION, "crl_file", Settable, |c| path(&c.ssl().crl_file), |text| c.ssl_mut().crl_file =
            absolute_file(text)?,),
    ]
}

/// A default has no line in the file.
fn http_keys<C: Server>() -> Vec<Key<C>> {
    const SECTION: &str = "http";
    vec![
        key!(SECTION, "listen", Settable, |c| c.http().listen.map(|listen| listen.to_string()), |text| c
            .http_mut()
            .listen =
            optional(text).as_deref().map(parse).transpose()?,),
        key!(
            SECTION,
            "auth",
            Settable,
            |c| Some(c.http().auth).filter(|auth| *auth != HttpAuth::None).map(|auth| auth.to_string()),
            |text| c.http_mut().auth =
                optional(text).as_deref().map(parse).transpose()?.unwrap_or(HttpAuth::None),
        ),
        key!(SECTION, "auth_file", Settable, |c| path(&c.http().auth_file), |text| c.http_mut().auth_file =
            absolute_file(text)?,),
        key!(
            SECTION,
            "tls",
            Settable,
            |c| c.http().tls.map(|tls| if tls { "on" } else { "off" }.to_owned()),
            |text| c.http_mut().tls = optional(text).as_deref().map(flag).transpose()?,
        ),
    ]
}

/// What the file is for: read by whoever chooses the configuration's type, and only checked here.
fn role_key<C>(print: Print<C>) -> Key<C> {
    Key {
        section: "pg_autoctl",
        name: "role",
        access: Fixed,
        stored: print,
        shown: print,
        read: |_, text| parse::<Role>(text).map(|_| ()),
    }
}

/// What 1.3 and before call the host name.
const OLD_HOSTNAME: Access = Obsolete("its name is pg_autoctl.hostname now");

fn not_written<C>(_config: &C) -> Option<String> {
    None
}

fn identity_keys() -> Vec<Key<NodeConfig>> {
    const SECTION: &str = "pg_autoctl";
    vec![
        role_key(|_| Some(Role::Keeper.to_string())),
        Key {
            section: SECTION,
            name: "monitor",
            access: Settable,
            stored: |c| Some(c.monitor.as_ref().map_or_else(disabled, ConnectionString::to_uri)),
            shown: |c| Some(c.monitor.as_ref().map_or_else(disabled, ToString::to_string)),
            read: |c, text| {
                c.monitor = match text {
                    "" => {
                        return Err(
                            "a value is needed; \"pg_autoctl disable monitor\" goes without".to_owned()
                        );
                    }
                    DISABLED => None,
                    uri => Some(parse(uri)?),
                };
                Ok(())
            },
        },
        key!(SECTION, "formation", Fixed, |c| Some(c.formation.clone()), |text| c.formation =
            required(text)?,),
        key!(SECTION, "group", Fixed, |c| c.group.map(|group| group.to_string()), |text| c.group =
            Some(GroupId(number(text, "a group's number")?)),),
        key!(SECTION, "name", Settable, |c| optional(&c.name), |text| text.clone_into(&mut c.name),),
        key!(SECTION, "hostname", Settable, |c| Some(c.hostname.clone()), |text| c.hostname =
            required(text)?,),
        key!(
            SECTION,
            "hostname_follows_network",
            Settable,
            |c| follows(c.hostname_follows_network),
            |text| c.hostname_follows_network = flag(text)?,
        ),
        key!(SECTION, "nodekind", Fixed, |c| Some(c.kind.to_string()), |text| c.kind = parse(text)?,),
        key!(SECTION, "nodename", OLD_HOSTNAME, |c| not_written(c), |text| c.hostname = required(text)?,),
    ]
}

fn replication_keys() -> Vec<Key<NodeConfig>> {
    const SECTION: &str = "replication";
    vec![
        key!(
            SECTION,
            "maximum_backup_rate",
            Settable,
            |c| Some(c.replication.maximum_backup_rate.clone()),
            |text| c.replication.maximum_backup_rate = backup_rate(text)?,
        ),
        obsolete!(
            SECTION,
            "backup_directory",
            "a base backup is made inside PGDATA, so that it is on the same file system",
            absolute_file
        ),
        Key {
            section: SECTION,
            name: "password",
            access: Settable,
            stored: |c| c.replication.password.as_ref().map(|password| password.expose().to_owned()),
            shown: |c| c.replication.password.as_ref().map(|_| MASK.to_owned()),
            read: |c, text| {
                c.replication.password = optional(text).map(Secret::new);
                Ok(())
            },
        },
    ]
}

fn timeout_keys() -> Vec<Key<NodeConfig>> {
    const SECTION: &str = "timeout";
    vec![
        key!(
            SECTION,
            "network_partition_timeout",
            Settable,
            |c| Some(print_duration(c.timeout.network_partition)),
            |text| c.timeout.network_partition = time_of(text)?,
        ),
        key!(
            SECTION,
            "listen_notifications_timeout",
            Settable,
            |c| Some(print_duration(c.timeout.listen_notifications)),
            |text| c.timeout.listen_notifications = time_of(text)?,
        ),
        obsolete!(
            SECTION,
            "prepare_promotion_catchup",
            "a candidate fetches the WAL it lacks for as long as that makes progress",
            time_of
        ),
        obsolete!(
            SECTION,
            "prepare_promotion_walreceiver",
            "a candidate waits until its walreceiver has ended",
            time_of
        ),
        obsolete!(
            SECTION,
            "postgresql_restart_failure_timeout",
            "the monitor is told at once that Postgres does not run, and decides",
            time_of
        ),
        obsolete!(
            SECTION,
            "postgresql_restart_failure_max_retries",
            "the monitor is told at once that Postgres does not run, and decides",
            count
        ),
        obsolete!(
            SECTION,
            "citus_master_update_node_lock_cooldown",
            "writes to a worker group wait for a failover and are not cancelled by a timer",
            time_of
        ),
        obsolete!(
            SECTION,
            "citus_coordinator_wait_max_retries",
            "the keeper of the coordinator goes on until its node table is right",
            count
        ),
        obsolete!(
            SECTION,
            "citus_coordinator_wait_timeout",
            "a failover of a worker never waits for a coordinator that does not answer",
            time_of
        ),
    ]
}

fn count(text: &str) -> Result<u32, String> {
    number(text, "a number of tries")
}

fn time_of(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn citus_keys() -> Vec<Key<NodeConfig>> {
    const SECTION: &str = "citus";
    vec![
        key!(SECTION, "role", Fixed, |c| Some(c.citus.role.to_string()), |text| c.citus.role = parse(text)?,),
        key!(SECTION, "cluster_name", Fixed, |c| Some(c.citus.cluster_name.clone()), |text| c
            .citus
            .cluster_name =
            required(text)?,),
    ]
}

/// The program of a hook.
macro_rules! hook {
    ($name:literal, $kind:expr) => {
        key!("hooks", $name, Settable, |c| c.hooks.get(&$kind).map(ToString::to_string), |text| {
            if text.is_empty() {
                c.hooks.remove(&$kind);
            } else {
                c.hooks.insert($kind, text.parse()?);
            }
        },)
    };
}

fn hook_keys() -> Vec<Key<NodeConfig>> {
    vec![
        hook!("on_role_change", HookKind::RoleChange),
        hook!("on_start", HookKind::Start),
        hook!("on_stop", HookKind::Stop),
        hook!("on_fence", HookKind::Fence),
        hook!("before_promote", HookKind::BeforePromote),
    ]
}

fn pooler_keys() -> Vec<Key<NodeConfig>> {
    const SECTION: &str = "pooler";
    vec![
        Key {
            section: SECTION,
            name: "admin",
            access: Settable,
            stored: |c| join(c.pooler.admin.iter().map(ConnectionString::to_uri)),
            shown: |c| join(c.pooler.admin.iter().map(ToString::to_string)),
            read: |c, text| {
                c.pooler.admin = text.split_whitespace().map(parse).collect::<Result<_, _>>()?;
                Ok(())
            },
        },
        key!(SECTION, "conffile", Settable, |c| c.pooler.conffile.clone(), |text| c.pooler.conffile =
            absolute_file(text)?.map(|file| file.display().to_string()),),
        key!(SECTION, "databases", Settable, |c| join(c.pooler.databases.iter().cloned()), |text| c
            .pooler
            .databases =
            text.split_whitespace().map(str::to_owned).collect(),),
    ]
}

fn join(words: impl Iterator<Item = String>) -> Option<String> {
    optional(&words.collect::<Vec<_>>().join(" "))
}

impl HasKeys for NodeConfig {
    fn keys() -> Vec<Key<Self>> {
        let mut keys = identity_keys();
        keys.extend(postgres_keys());
        keys.extend(ssl_keys());
        keys.extend(http_keys());
        keys.extend(replication_keys());
        keys.extend(timeout_keys());
        keys.extend(citus_keys());
        keys.extend(hook_keys());
        keys.extend(pooler_keys());
        keys
    }

    fn unworkable(&self) -> Vec<Unworkable> {
        limits::unworkable(self)
    }
}

impl HasKeys for MonitorConfig {
    fn keys() -> Vec<Key<Self>> {
        const SECTION: &str = "pg_autoctl";
        let mut keys: Vec<Key<Self>> = vec![
            role_key(|_| Some(Role::Monitor.to_string())),
            key!(SECTION, "hostname", Settable, |c| Some(c.hostname.clone()), |text| c.hostname =
                required(text)?,),
            key!(
                SECTION,
                "hostname_follows_network",
                Settable,
                |c| follows(c.hostname_follows_network),
                |text| c.hostname_follows_network = flag(text)?,
            ),
            key!(SECTION, "nodename", OLD_HOSTNAME, |c| not_written(c), |text| c.hostname = required(text)?,),
            Key {
                section: SECTION,
                name: "node_password",
                access: Settable,
                stored: |c| c.node_password.as_ref().map(|password| password.expose().to_owned()),
                shown: |c| c.node_password.as_ref().map(|_| MASK.to_owned()),
                read: |c, text| {
                    c.node_password = optional(text).map(Secret::new);
                    Ok(())
                },
            },
        ];
        keys.extend(postgres_keys());
        keys.extend(ssl_keys());
        keys.extend(http_keys());
        keys.push(hook!("on_event", HookKind::Event));
        keys.extend(monitors_keys());
        keys
    }
}

fn members_of(config: &MonitorConfig) -> Option<String> {
    let members = config.monitors.iter().flat_map(|monitors| &monitors.members);
    let words: Vec<String> = members.map(|(number, member)| format!("{number}:{member}")).collect();
    (!words.is_empty()).then(|| words.join(","))
}

fn servers_of(config: &MonitorConfig) -> Option<String> {
    let servers = config.monitors.iter().flat_map(|monitors| &monitors.servers);
    let words: Vec<String> = servers.map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// Of a monitor that is one of several.
fn monitors_keys() -> Vec<Key<MonitorConfig>> {
    const SECTION: &str = "monitors";
    vec![
        key!(SECTION, "name", Fixed, |c| c.monitors.as_ref().map(|monitors| monitors.name.clone()), |text| {
            c.monitors.get_or_insert_default().name = required(text)?
        },),
        Key {
            section: SECTION,
            name: "members",
            access: Fixed,
            stored: members_of,
            shown: members_of,
            read: |c, text| {
                c.monitors.get_or_insert_default().members = parse_numbered(text)?;
                Ok(())
            },
        },
        Key {
            section: SECTION,
            name: "servers",
            access: Fixed,
            stored: servers_of,
            shown: servers_of,
            read: |c, text| {
                let server =
                    |text: &str| parse_address(text).map(|(name, port)| Host { name, port, address: None });
                let servers = text.split(',').map(server).collect::<Result<_, String>>()?;
                c.monitors.get_or_insert_default().servers = servers;
                Ok(())
            },
        },
        key!(
            SECTION,
            "joined",
            Fixed,
            |c| follows(c.monitors.as_ref().is_some_and(|monitors| monitors.has_joined)),
            |text| c.monitors.get_or_insert_default().has_joined = flag(text)?,
        ),
        key!(
            SECTION,
            "witness",
            Fixed,
            |c| follows(c.monitors.as_ref().is_some_and(|monitors| monitors.is_witness)),
            |text| c.monitors.get_or_insert_default().is_witness = flag(text)?,
        ),
    ]
}
