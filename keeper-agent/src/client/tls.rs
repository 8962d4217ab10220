//! What a connection accepts as the server's certificate, in the terms of libpq's `sslmode`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
pub(super) use tokio_postgres_rustls::MakeRustlsConnect as Connector;

use super::ssl::{SslMode, SslOptions};
use super::verifier::{AnyCertificate, KnownAuthority};

/// A TLS option that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("cannot read {what} \"{}\": {reason}", .path.display())]
    File { what: &'static str, path: PathBuf, reason: String },
    #[error(
        "sslmode {0} needs the certificate of the authority: give sslrootcert, or put it in ~/.postgresql/root.crt"
    )]
    NoAuthority(SslMode),
    #[error("the client certificate needs both sslcert and sslkey")]
    KeyWithoutCertificate,
    #[error("{0}")]
    Rustls(String),
}

/// Makes the connector for these options; they are read from their files each time, so that a renewed certificate
/// is used by the next connection.
pub(super) fn connector(options: &SslOptions) -> Result<Connector, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Rustls(error.to_string()))?
        .dangerous();
    let builder = match authority(options)? {
        None => builder.with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider))),
        Some(root) => {
            builder.with_custom_certificate_verifier(Arc::new(known_authority(options, &root, provider)?))
        }
    };
    let config = match client_certificate(options)? {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| TlsError::Rustls(error.to_string()))?
        }
    };
    Ok(Connector::new(config))
}

/// The file of authorities to verify against; none when any certificate will do. A given or a default file makes
/// `require` mean `verify-ca`, as in libpq.
fn authority(options: &SslOptions) -> Result<Option<PathBuf>, TlsError> {
    if options.mode < SslMode::Require {
        return Ok(None);
    }
    let root = options.root_cert.clone().or_else(|| default_file("root.crt"));
    match root {
        None if options.mode >= SslMode::VerifyCa => Err(TlsError::NoAuthority(options.mode)),
        root => Ok(root),
    }
}

fn known_authority(
    options: &SslOptions,
    root: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<KnownAuthority, TlsError> {
    let certificates = read_certificates("the root certificate", root)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| file_error("the root certificate", root, &error))?;
    }
    let crl = options.crl.clone().or_else(|| default_file("root.crl"));
    let revocations = match &crl {
        None => Vec::new(),
        Some(path) => read_revocations(path)?,
    };
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
        .with_crls(revocations.clone())
        .build()
        .map_err(|error| file_error("the root certificate", root, &error))?;
    let checks_name = options.mode == SslMode::VerifyFull;
    Ok(KnownAuthority { provider, chain, roots: certificates, revocations, checks_name })
}

type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(options: &SslOptions) -> Result<Option<ClientCertificate>, TlsError> {
    let given = match (&options.cert, &options.key) {
        (None, None) => default_file("postgresql.crt").zip(default_file("postgresql.key")),
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        _ => return Err(TlsError::KeyWithoutCertificate),
    };
    given
        .map(|(certificate, key)| {
            let chain = read_certificates("the client certificate", &certificate)?;
            let key = PrivateKeyDer::from_pem_file(&key)
                .map_err(|error| file_error("the key of the client certificate", &key, &error))?;
            Ok((chain, key))
        })
        .transpose()
}

/// A file that libpq looks for when none is given.
fn default_file(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    let path = Path::new(&home).join(".postgresql").join(name);
    path.is_file().then_some(path)
}

fn read_certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| file_error(what, path, &error))?;
    if certificates.is_empty() {
        return Err(file_error(what, path, &"there is no certificate in it"));
    }
    Ok(certificates)
}

fn read_revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| file_error("the list of revoked certificates", path, &error))
}

fn file_error(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}
