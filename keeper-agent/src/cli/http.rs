//! `--http-listen`, `--http-auth`, and what has to be right before HTTP is served.

use super::error::{CliError, CliResult};
use super::options::Http;
use crate::config::{Config, HttpConfig};
use crate::exit::Exit;
use crate::http::ensure_secret;

/// Takes the options over; says whether there were any.
pub(super) fn take(options: &Http, config: &mut HttpConfig) -> bool {
    let is_given = options.http_listen.is_some() || options.http_auth.is_some();
    if let Some(listen) = options.http_listen {
        config.listen = Some(listen);
    }
    if let Some(auth) = options.http_auth {
        config.auth = auth;
    }
    is_given
}

/// What cannot be served is refused where it is set.
pub(super) fn check(config: &Config) -> CliResult {
    let http = config.http();
    let wrong = |name: &str, why: &str| Err(CliError::new(Exit::BadConfig, format!("{name}: {why}")));
    if matches!(config, Config::Monitor(_)) && http.is_open_to_others() {
        return wrong("http.listen", NEEDS_AUTH);
    }
    let has_certificate = config.ssl().cert_file.is_some() && config.ssl().key_file.is_some();
    if http.listen.is_some() && http.tls == Some(true) && !has_certificate {
        return wrong("http.tls", "this node has no certificate: use \"pg_autoctl enable ssl\" first");
    }
    Ok(())
}

const NEEDS_AUTH: &str = "other machines could read the page of this monitor without a password: set http.auth to basic or \
     bearer first (--http-auth), or listen on 127.0.0.1";

/// Makes the password or the token when there is none, and says where it is.
pub(super) fn prepare(config: &Config) -> CliResult {
    if config.http().listen.is_none() {
        return Ok(());
    }
    match ensure_secret(config.http(), &config.paths().http_secret()) {
        Ok(None) => Ok(()),
        Ok(Some(path)) => {
            tracing::info!("what clients of HTTP have to show is in \"{}\"", path.display());
            Ok(())
        }
        Err(error) => Err(CliError::new(Exit::BadConfig, error.to_string())),
    }
}

/// Both, at the start of a node. What a person has just asked for and cannot be is refused; what a file says is told, and the
/// node runs without.
pub(super) fn ready(config: impl Into<Config>, is_given: bool) -> CliResult {
    match check_and_prepare(config) {
        Err(error) if !is_given => {
            tracing::error!("{error}");
            Ok(())
        }
        checked => checked,
    }
}

/// Both, for a configuration that is going to be written.
pub(super) fn check_and_prepare(config: impl Into<Config>) -> CliResult {
    let config = config.into();
    check(&config)?;
    prepare(&config)
}
