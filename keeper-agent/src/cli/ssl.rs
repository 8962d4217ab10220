//! TLS: what the options mean, and `enable ssl`, `disable ssl`.

use std::path::Path;

use super::checks::readable_file;
use super::error::{CliError, CliResult};
use super::options::Ssl;
use super::process;
use crate::client::SslMode;
use crate::config::{Config, SslConfig};
use crate::exit::Exit;
use crate::monitor_server;
use crate::postgres::{Instance, InstanceConfig, PostgresError};

/// For a server that is created: without a choice it gets a self-signed certificate.
pub(super) fn of_new_server(options: &Ssl) -> CliResult<SslConfig> {
    let files = [&options.ssl_ca_file, &options.ssl_crl_file, &options.server_cert, &options.server_key];
    if options.no_ssl || files.iter().any(|file| file.is_some()) {
        return from_options(options);
    }
    from_options(&Ssl { ssl_self_signed: true, ..options.clone() })
}

/// The configuration that the options ask for. The paths of a self-signed certificate are not known yet.
pub(super) fn from_options(options: &Ssl) -> CliResult<SslConfig> {
    let chosen_by_environment = std::env::var_os("PG_AUTOCTL_SSL_SELF_SIGNED").is_some();
    if options.no_ssl {
        if options.ssl_self_signed && !chosen_by_environment {
            return Err(CliError::bad_arguments(
                "--no-ssl and --ssl-self-signed exclude each other: give one of them",
            ));
        }
        return without_tls(options.ssl_mode);
    }
    let ca_file = optional_file("--ssl-ca-file", options.ssl_ca_file.as_deref())?;
    let crl_file = optional_file("--ssl-crl-file", options.ssl_crl_file.as_deref())?;
    if let (Some(certificate), Some(key)) = (&options.server_cert, &options.server_key) {
        let default = if ca_file.is_some() { SslMode::VerifyFull } else { SslMode::Require };
        let mode = options.ssl_mode.unwrap_or(default);
        if mode >= SslMode::VerifyCa && ca_file.is_none() {
            return Err(CliError::bad_arguments(format!(
                "sslmode {mode} needs the certificate of the authority: give --ssl-ca-file"
            )));
        }
        return Ok(SslConfig {
            is_active: true,
            mode,
            is_self_signed: false,
            cert_file: Some(readable_file("--server-cert", certificate)?),
            key_file: Some(readable_file("--server-key", key)?),
            ca_file,
            crl_file,
        });
    }
    if !options.ssl_self_signed {
        return Err(CliError::bad_arguments(
            "choose how connections are encrypted: --ssl-self-signed, or --server-cert and --server-key with --ssl-ca-file, or --no-ssl",
        ));
    }
    let mode = options.ssl_mode.unwrap_or(SslMode::Require);
    if mode >= SslMode::VerifyCa {
        return Err(CliError::bad_arguments(format!(
            "a self-signed certificate cannot be verified, as sslmode {mode} asks for: give --server-cert, --server-key and --ssl-ca-file instead"
        )));
    }
    Ok(SslConfig { is_active: true, mode, is_self_signed: true, ca_file, crl_file, ..SslConfig::inactive() })
}

fn without_tls(mode: Option<SslMode>) -> CliResult<SslConfig> {
    let mode = mode.unwrap_or_default();
    if mode > SslMode::Prefer {
        return Err(CliError::bad_arguments(format!(
            "--no-ssl and --ssl-mode {mode} contradict each other: give one of them"
        )));
    }
    Ok(SslConfig { mode, ..SslConfig::inactive() })
}

fn optional_file(option: &str, file: Option<&Path>) -> CliResult<Option<std::path::PathBuf>> {
    file.map(|file| readable_file(option, file)).transpose()
}

/// Makes the self-signed certificate when one is asked for, and notes where it is.
pub(super) async fn make_certificate(instance: &Instance, ssl: &mut SslConfig) -> Result<(), PostgresError> {
    if ssl.is_active && ssl.is_self_signed {
        let made = instance.make_self_signed_certificate().await?;
        ssl.cert_file = made.cert_file;
        ssl.key_file = made.key_file;
    }
    Ok(())
}

/// `enable ssl`
pub(super) async fn enable(pgdata: &Path, options: &Ssl) -> CliResult {
    change(pgdata, from_options(options)?).await
}

/// `disable ssl`
pub(super) async fn disable(pgdata: &Path) -> CliResult {
    change(pgdata, SslConfig::inactive()).await
}

async fn change(pgdata: &Path, ssl: SslConfig) -> CliResult {
    super::checks::not_root("change a node")?;
    let mut config = Config::load(pgdata)?;
    *config.ssl_mut() = ssl;
    let instance = Instance::new(instance_of(&config));
    let failed = |error: PostgresError| CliError::new(Exit::PgCtl, error.to_string());
    make_certificate(&instance, config.ssl_mut()).await.map_err(failed)?;
    config.store()?;
    if let Some(pid) = process::running(config.paths())? {
        tracing::info!("process {pid}, which runs this node, applies the change");
        return process::signal(pid, nix::sys::signal::Signal::SIGHUP);
    }
    instance.reconfigure(instance_of(&config));
    match &config {
        Config::Monitor(monitor) => monitor_server::apply(&instance, monitor).await,
        Config::Node(_) => apply(&instance).await,
    }
    .map_err(failed)
}

async fn apply(instance: &Instance) -> Result<(), PostgresError> {
    instance.write_settings().await?;
    instance.write_hba(&[]).await?;
    if instance.is_postmaster_running().await {
        instance.reload().await?;
    }
    Ok(())
}

fn instance_of(config: &Config) -> InstanceConfig {
    match config {
        Config::Node(node) => node.instance(None),
        Config::Monitor(monitor) => monitor.instance(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_server_gets_a_certificate_unless_told_otherwise() {
        let made = of_new_server(&Ssl::default()).expect("valid");
        assert_eq!((made.is_self_signed, made.mode), (true, SslMode::Require));
        let plain = of_new_server(&Ssl { no_ssl: true, ..Ssl::default() }).expect("valid");
        assert!(!plain.is_active && !plain.is_self_signed);
        let half = Ssl { ssl_ca_file: Some("/ca.crt".into()), ..Ssl::default() };
        of_new_server(&half).expect_err("an authority, and no certificate");
    }

    #[test]
    fn a_choice_is_needed_and_must_make_sense() {
        let refused = |options: Ssl, why: &str| {
            let error = from_options(&options).expect_err(why);
            assert!(error.message.contains(why), "{error}");
        };
        refused(Ssl::default(), "--no-ssl");
        refused(Ssl { no_ssl: true, ssl_mode: Some(SslMode::Require), ..Ssl::default() }, "contradict");
        refused(
            Ssl { ssl_self_signed: true, ssl_mode: Some(SslMode::VerifyFull), ..Ssl::default() },
            "cannot be verified",
        );
        let missing = Some("/no/such/file".into());
        refused(
            Ssl { server_cert: missing.clone(), server_key: missing, ..Ssl::default() },
            "cannot read --server-cert",
        );
        let plain = from_options(&Ssl { no_ssl: true, ..Ssl::default() }).expect("valid");
        assert_eq!((plain.is_active, plain.mode), (false, SslMode::Prefer));
        let own = from_options(&Ssl { ssl_self_signed: true, ..Ssl::default() }).expect("valid");
        assert_eq!((own.is_active, own.mode), (true, SslMode::Require));
    }
}
