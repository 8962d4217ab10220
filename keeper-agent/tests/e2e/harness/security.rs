//! How the connections of a cluster are encrypted and authenticated.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef};

/// Encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tls {
    /// `--no-ssl`
    #[default]
    Off,
    /// `--ssl-self-signed`
    SelfSigned,
    /// Certificates of a CA of the test's own, `--ssl-mode verify-full`.
    VerifyFull,
}

/// Authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Everybody in the network is who they say.
    #[default]
    Trust,
    /// Passwords.
    Scram,
}

/// Both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Security {
    pub(crate) tls: Tls,
    pub(crate) auth: Auth,
}

impl Security {
    /// The password of every role of a cluster that has passwords. A test looks for it where it must not be.
    pub(crate) const PASSWORD: &str = "s3cret-Pa55";

    /// The options of `pg_autoctl create` for a host whose certificates are in `directory`.
    pub(crate) fn options(self, directory: &Path) -> Vec<String> {
        let mut options = match self.tls {
            Tls::Off => vec!["--no-ssl".to_owned()],
            Tls::SelfSigned => vec!["--ssl-self-signed".to_owned()],
            Tls::VerifyFull => {
                let file = |name: &str| directory.join(name).display().to_string();
                vec![
                    "--ssl-mode".to_owned(),
                    "verify-full".to_owned(),
                    "--ssl-ca-file".to_owned(),
                    file("ca.crt"),
                    "--server-cert".to_owned(),
                    file("server.crt"),
                    "--server-key".to_owned(),
                    file("server.key"),
                ]
            }
        };
        options.push("--auth".to_owned());
        options.push(match self.auth {
            Auth::Trust => "trust".to_owned(),
            Auth::Scram => "scram-sha-256".to_owned(),
        });
        options
    }

    /// The parameters of the monitor's URI that fit the options.
    pub(crate) fn uri_parameters(self, directory: &Path) -> String {
        match self.tls {
            Tls::Off => "?sslmode=prefer".to_owned(),
            Tls::SelfSigned => "?sslmode=require".to_owned(),
            Tls::VerifyFull => {
                format!("?sslmode=verify-full&sslrootcert={}/ca.crt", directory.display())
            }
        }
    }

    /// `:password` where there is one, for a URI.
    pub(crate) fn uri_password(self) -> String {
        match self.auth {
            Auth::Trust => String::new(),
            Auth::Scram => format!(":{}", Self::PASSWORD),
        }
    }

    /// The same for a connection of the test's own.
    pub(crate) fn password(self) -> Option<&'static str> {
        (self.auth == Auth::Scram).then_some(Self::PASSWORD)
    }
}

/// A certificate authority that lives as long as a cluster.
pub(crate) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        let key = new_key()?;
        let name = name("test authority")?;
        let mut builder = unsigned(&name, &name, &key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// Writes `ca.crt`, `server.crt` and `server.key` for the server at that address; returns what was written.
    pub(crate) fn issue(&self, address: Ipv4Addr, directory: &Path) -> Result<Vec<PathBuf>> {
        let key = new_key()?;
        let subject = name(&address.to_string())?;
        let mut builder = unsigned(&subject, self.certificate.subject_name(), &key)?;
        let names = SubjectAlternativeName::new()
            .ip(&address.to_string())
            .build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        let write = |name: &str, content: &[u8]| -> Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, content)?;
            Ok(path)
        };
        Ok(vec![
            write("ca.crt", &self.certificate.to_pem()?)?,
            write("server.crt", &builder.build().to_pem()?)?,
            write("server.key", &key.private_key_to_pem_pkcs8()?)?,
        ])
    }
}

fn new_key() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn name(common_name: &str) -> Result<X509Name> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(name.build())
}

/// A certificate of version 3 that is valid for as long as any test may run.
fn unsigned(subject: &X509NameRef, issuer: &X509NameRef, key: &PKey<Private>) -> Result<X509Builder> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_str("20200101000000Z")?)?;
    builder.set_not_after(&*Asn1Time::from_str("20500101000000Z")?)?;
    Ok(builder)
}
