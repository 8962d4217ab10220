//! A certificate that the server signs itself: it encrypts, and proves nothing.

use std::net::IpAddr;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};

use crate::postgres::server::{InstanceConfig, LocalServer, PostgresError, ServerSsl, files};

const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// How X.509 writes its third version.
const VERSION_3: i32 = 2;
const SERIAL_BITS: i32 = 127;
/// A longer one is not allowed in a certificate; the alternative name is what counts.
const COMMON_NAME_MAX_BYTES: usize = 64;

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
        self.files().run("making a certificate", move || make(&files_of)).await?;
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
    let made = signed_by_itself(&config.hostname).map_err(|error| {
        PostgresError::Refused(format!("cannot make a certificate for \"{}\": {error}", config.hostname))
    })?;
    files::make_private_directory(&config.state_dir)?;
    files::replace(&key, &made.key, 0o600)?;
    files::replace(&certificate, &made.certificate, 0o644)
}

/// Both as PEM.
struct Made {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn signed_by_itself(hostname: &str) -> Result<Made, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut builder = X509::builder()?;
    builder.set_version(VERSION_3)?;
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    let mut name = X509NameBuilder::new()?;
    if hostname.len() <= COMMON_NAME_MAX_BYTES {
        name.append_entry_by_nid(Nid::COMMONNAME, hostname)?;
    }
    let name = name.build();
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(&key)?;
    // A clock that is a little behind must not find it invalid yet.
    builder.set_not_before(&*Asn1Time::from_str("20200101000000Z")?)?;
    builder.set_not_after(&*Asn1Time::from_str("20500101000000Z")?)?;
    let mut names = SubjectAlternativeName::new();
    match hostname.parse::<IpAddr>() {
        Ok(_) => names.ip(hostname),
        Err(_) => names.dns(hostname),
    };
    let names = names.build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok(Made { certificate: builder.build().to_pem()?, key: key.private_key_to_pem_pkcs8()? })
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
        let parsed = X509::from_pem(&certificate).expect("a certificate");
        assert!(parsed.verify(&parsed.public_key().expect("a key")).expect("verified"));
        assert_eq!((certificate, key), (read(CERTIFICATE), read(KEY)));
    }

    #[test]
    fn every_kind_of_host_name_has_a_certificate() {
        for hostname in ["db1.example.org", "192.0.2.1", "2001:db8::1", &"long-name.".repeat(20)] {
            let made = signed_by_itself(hostname).expect("made");
            let certificate = X509::from_pem(&made.certificate).expect("a certificate");
            let names = certificate.subject_alt_names().expect("names");
            let name = names.iter().next().expect("a name");
            assert!(name.dnsname() == Some(hostname) || name.ipaddress().is_some(), "{hostname}");
        }
    }
}
