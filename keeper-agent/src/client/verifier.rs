//! The two ways to look at a server's certificate: take any, or demand a known authority.

use std::sync::Arc;

use rustls::CertificateError::{NotValidForName, NotValidForNameContext, Revoked};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::version1;

/// Any certificate will do; that the server has its key is still verified.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl AnyCertificate {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate is signed by one of these authorities, or is one of them; with `verify-full` it is for this host.
#[derive(Debug)]
pub(super) struct KnownAuthority {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) chain: Arc<WebPkiServerVerifier>,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) revocations: Vec<CertificateRevocationListDer<'static>>,
    pub(super) checks_name: bool,
}

impl KnownAuthority {
    /// A certificate that is itself in the file of authorities is trusted while it is valid, also when it is marked
    /// as an authority: self-signed certificates often are.
    fn is_trusted_itself(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let is_listed = self.roots.iter().any(|root| root.as_ref() == certificate.as_ref());
        is_listed && is_valid_at(certificate, now)
    }
}

impl ServerCertVerifier for KnownAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = if version1::is_version_1(end_entity) {
            version1::verify_chain(end_entity, &self.roots, &self.revocations, now)
        } else {
            let chain = &self.chain;
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map(|_| ())
        };
        match verified {
            // The name is looked at last: the chain is good.
            Ok(()) | Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {}
            Err(error @ Error::InvalidCertificate(Revoked)) => return Err(error),
            Err(_) if self.is_trusted_itself(end_entity, now) => {}
            Err(error) => return Err(error),
        }
        if self.checks_name && !has_common_name(end_entity, server_name) {
            if version1::is_version_1(end_entity) {
                return Err(Error::InvalidCertificate(NotValidForName));
            }
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if version1::is_version_1(certificate) {
        version1::verify_tls12(message, certificate, signed, algorithms)
    } else {
        verify_tls12_signature(message, certificate, signed, algorithms)
    }
}

fn tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if version1::is_version_1(certificate) {
        version1::verify_tls13(message, certificate, signed, algorithms)
    } else {
        verify_tls13_signature(message, certificate, signed, algorithms)
    }
}

fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let at = i64::try_from(now.as_secs()).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    match (X509Certificate::from_der(certificate), at) {
        (Ok((_, parsed)), Some(at)) => parsed.validity().is_valid_at(at),
        _ => false,
    }
}

/// Without any name in the extension, libpq takes the common name of the subject.
fn has_common_name(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let has_alternatives = parsed.subject_alternative_name().ok().flatten().is_some_and(|extension| {
        let names = &extension.value.general_names;
        names.iter().any(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
    });
    let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let wanted = server_name.to_str();
    !has_alternatives && common_name.is_some_and(|name| name_matches(name, &wanted))
}

/// Equal but for case, or a wildcard for the first label.
fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(domain) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(name_matches("DB1.example.org", "db1.example.org"));
        assert!(name_matches("*.example.org", "db1.example.org"));
        assert!(!name_matches("*.example.org", "a.b.example.org"));
        assert!(!name_matches("*.example.org", "example.org"));
        assert!(!name_matches("db1", "db2"));
    }
}
