//! Server certificates of X.509 version 1, which have a common name and no extensions. The Postgres manual shows how to make
//! them, and libpq takes them, but webpki does not: this is the little of it that they need.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

/// The certificate is one of these.
pub(super) fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.version() == X509Version::V1)
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// The certificate is in force, and one of these authorities has signed it; where there are lists of revoked
/// certificates, it is on none, and the authority has one.
pub(super) fn verify_chain(
    certificate: &CertificateDer<'_>,
    roots: &[CertificateDer<'_>],
    revocations: &[CertificateRevocationListDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    in_force(&parsed, now)?;
    let mut authority = None;
    for root in roots {
        let root = parse(root)?;
        let is_named = root.subject().as_raw() == parsed.issuer().as_raw();
        let may_sign = root.version() == X509Version::V1 || root.is_ca();
        if is_named && may_sign && parsed.verify_signature(Some(root.public_key())).is_ok() {
            in_force(&root, now)?;
            not_revoked(&parsed, &root, revocations, now)?;
            authority = Some(());
            break;
        }
    }
    authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))
}

fn moment(now: UnixTime) -> Result<ASN1Time, Error> {
    i64::try_from(now.as_secs())
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .ok_or(Error::FailedToGetCurrentTime)
}

fn in_force(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let (validity, now) = (certificate.validity(), moment(now)?);
    let problem = if now < validity.not_before {
        CertificateError::NotValidYet
    } else if now > validity.not_after {
        CertificateError::Expired
    } else {
        return Ok(());
    };
    Err(Error::InvalidCertificate(problem))
}

fn not_revoked(
    certificate: &X509Certificate<'_>,
    authority: &X509Certificate<'_>,
    revocations: &[CertificateRevocationListDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    if revocations.is_empty() {
        return Ok(());
    }
    let now = moment(now)?;
    let lists: Vec<CertificateRevocationList<'_>> = revocations
        .iter()
        .filter_map(|list| CertificateRevocationList::from_der(list).ok())
        .map(|(_, list)| list)
        .filter(|list| list.issuer().as_raw() == authority.subject().as_raw())
        .filter(|list| list.verify_signature(authority.public_key()).is_ok())
        .filter(|list| list.next_update().is_none_or(|next| now <= next))
        .collect();
    let serial = certificate.raw_serial();
    let is_listed = |list: &CertificateRevocationList<'_>| {
        list.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == serial)
    };
    if lists.is_empty() {
        return Err(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus));
    }
    if lists.iter().any(is_listed) {
        return Err(Error::InvalidCertificate(CertificateError::Revoked));
    }
    Ok(())
}

/// The server has the key of its certificate: with TLS 1.3.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let parsed = parse(certificate)?;
    let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
}

/// The server has the key of its certificate: with TLS 1.2.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let parsed = parse(certificate)?;
    let key = &parsed.public_key().subject_public_key.data;
    let of_scheme = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
    of_scheme
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(key, message, signed.signature()).is_ok())
        .then(HandshakeSignatureValid::assertion)
        .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;

    use super::*;

    const VERSION_1: &[u8] = include_bytes!("../../tests/certificates/version1.crt");
    const AUTHORITY: &[u8] = include_bytes!("../../tests/certificates/authority.crt");
    const IMPOSTOR: &[u8] = include_bytes!("../../tests/certificates/impostor.crt");
    const CLEAN: &[u8] = include_bytes!("../../tests/certificates/clean.crl");
    const REVOKED: &[u8] = include_bytes!("../../tests/certificates/revoked.crl");

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).expect("a certificate")
    }

    fn verified(root: &[u8], lists: &[&[u8]], year: u64) -> Result<(), Error> {
        let lists: Vec<_> = lists
            .iter()
            .map(|list| CertificateRevocationListDer::from_pem_slice(list).expect("a list"))
            .collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        verify_chain(&certificate(VERSION_1), &[certificate(root)], &lists, now)
    }

    #[test]
    fn only_version_1_is_told_apart() {
        assert!(is_version_1(&certificate(VERSION_1)));
        assert!(!is_version_1(&certificate(AUTHORITY)));
    }

    #[test]
    fn its_authority_must_have_signed_it_while_it_is_in_force() {
        let problem = |problem| Err(Error::InvalidCertificate(problem));
        assert_eq!(verified(AUTHORITY, &[], 2040), Ok(()));
        assert_eq!(verified(IMPOSTOR, &[], 2040), problem(CertificateError::UnknownIssuer));
        assert_eq!(verified(AUTHORITY, &[], 2020), problem(CertificateError::NotValidYet));
        assert_eq!(verified(AUTHORITY, &[], 2200), problem(CertificateError::Expired));
        assert_eq!(verified(AUTHORITY, &[CLEAN], 2040), Ok(()));
        assert_eq!(verified(AUTHORITY, &[REVOKED], 2040), problem(CertificateError::Revoked));
    }
}
