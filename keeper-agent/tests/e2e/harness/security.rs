//! How the connections of a cluster are encrypted and authenticated.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

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
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Writes `ca.crt`, `server.crt` and `server.key` for the server at that address; returns what was written.
    pub(crate) fn issue(&self, address: Ipv4Addr, directory: &Path) -> Result<Vec<PathBuf>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(address.into())];
        params.distinguished_name.push(DnType::CommonName, address.to_string());
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let write = |name: &str, content: &str| -> Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, content)?;
            Ok(path)
        };
        Ok(vec![
            write("ca.crt", &self.certificate)?,
            write("server.crt", &certificate)?,
            write("server.key", &key.serialize_pem())?,
        ])
    }
}
