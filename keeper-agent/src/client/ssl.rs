//! How much of TLS a connection asks for, in libpq's words.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only when the server refuses a plain connection.
    Allow,
    /// Encrypted when the server can.
    #[default]
    Prefer,
    /// Encrypted, with any certificate.
    Require,
    /// Encrypted, with a certificate of a known authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate is for this host.
    VerifyFull,
}

impl SslMode {
    /// Every mode, from the least to the most.
    pub const ALL: [Self; 6] =
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// libpq's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no `sslmode`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an sslmode, which is one of disable, allow, prefer, require, verify-ca and verify-full"
)]
pub struct UnknownSslMode(pub String);

impl FromStr for SslMode {
    type Err = UnknownSslMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| UnknownSslMode(text.to_owned()))
    }
}

/// The value of `sslrootcert` that means the authorities which the system trusts.
pub(super) const SYSTEM_AUTHORITIES: &str = "system";

/// The TLS part of a connection string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SslOptions {
    /// How much is asked for.
    pub mode: SslMode,
    /// PEM file with the authorities that may have signed the server's certificate; `system` for those that the system
    /// trusts.
    pub root_cert: Option<PathBuf>,
    /// PEM file with our own certificate.
    pub cert: Option<PathBuf>,
    /// PEM file with the key of `cert`.
    pub key: Option<PathBuf>,
    /// PEM file with revoked certificates.
    pub crl: Option<PathBuf>,
    /// The oldest protocol that will do (`ssl_min_protocol_version`).
    pub min_protocol: Option<TlsProtocol>,
    /// The newest (`ssl_max_protocol_version`).
    pub max_protocol: Option<TlsProtocol>,
    /// Our certificate is not sent, should there be one (`sslcertmode=disable`).
    pub keeps_certificate: bool,
    /// The connection begins with TLS, without a request for it (`sslnegotiation=direct`).
    pub begins_with_tls: bool,
    /// The server is not told by which name it is known (`sslsni=0`).
    pub keeps_name: bool,
}

/// A version of TLS, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsProtocol {
    /// 1.0
    Tls1,
    /// 1.1
    Tls11,
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl TlsProtocol {
    /// Every version, from the oldest to the newest.
    pub const ALL: [Self; 4] = [Self::Tls1, Self::Tls11, Self::Tls12, Self::Tls13];

    /// libpq's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls1 => "TLSv1",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    /// The version of this name, whatever its case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str().eq_ignore_ascii_case(name))
    }
}
