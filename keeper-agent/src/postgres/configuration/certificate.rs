//! A certificate that the server signs itself: it encrypts, and proves nothing.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use crate::postgres::server::{InstanceConfig, LocalServer, PostgresError, ServerSsl, files};

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

impl LocalServer {
    /// Makes `server.crt` and `server.key` for this node's host name; those that are there stay. They are outside of
    /// PGDATA, which a copy of the upstream's replaces. The configuration is not changed: the result is what to put
    /// into it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn make_self_signed_certificate(&self) -> Result<ServerSsl, PostgresError> {
        let config = self.config();
        let files_of = Arc::clone(&config);
        files::blocking("making a certificate", move || make(&files_of)).await?;
        Ok(ServerSsl {
            active: true,
            cert_file: Some(config.state_dir.join(CERTIFICATE)),
            key_file: Some(config.state_dir.join(KEY)),
            ..ServerSsl::default()
        })
    }
}

fn make(config: &InstanceConfig) -> Result<(), PostgresError> {
    let (certificate, key) = (config.state_dir.join(CERTIFICATE), config.state_dir.join(KEY));
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let failed = |error: rcgen::Error| {
        PostgresError::Refused(format!("cannot make a certificate for \"{}\": {error}", config.hostname))
    };
    let mut params = CertificateParams::new(vec![config.hostname.clone()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, config.hostname.clone());
    // A clock that is a little behind must not find it invalid yet.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2050, 1, 1);
    let pair = KeyPair::generate().map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    files::make_private_directory(&config.state_dir)?;
    files::replace(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    files::replace(&certificate, signed.pem().as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::postgres::server::testing::config;

    #[test]
    fn a_certificate_is_made_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(&directory.path().join("data"));
        make(&config).expect("made");
        let read = |name: &str| std::fs::read(config.state_dir.join(name)).expect("read");
        let (certificate, key) = (read(CERTIFICATE), read(KEY));
        let mode = std::fs::metadata(config.state_dir.join(KEY)).expect("metadata").mode();
        assert_eq!(mode & 0o777, 0o600);
        make(&config).expect("kept");
        assert_eq!((certificate, key), (read(CERTIFICATE), read(KEY)));
    }
}
