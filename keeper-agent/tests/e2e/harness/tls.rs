//! TLS for the test's own connections.

use std::path::Path;

use anyhow::{Context, Result};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use postgres_openssl::MakeTlsConnector;

/// Encrypts; with an authority, accepts only servers whose certificate it has signed for their address.
pub(crate) fn connector(authority: Option<&Path>) -> Result<MakeTlsConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    match authority {
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let mut trusted = X509StoreBuilder::new()?;
            trusted.add_cert(X509::from_pem(&pem)?)?;
            builder.set_cert_store(trusted.build());
        }
        None => builder.set_verify(SslVerifyMode::NONE),
    }
    let is_verified = authority.is_some();
    let mut connector = MakeTlsConnector::new(builder.build());
    connector.set_callback(move |connection, _| {
        connection.set_verify_hostname(is_verified);
        Ok(())
    });
    Ok(connector)
}
