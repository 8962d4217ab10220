//! Who a monitor is to the other monitors: a certificate with its name, signed with a key that only who has the join token
//! can make.
//!
//! The token is needed to create a monitor, and not afterwards: what is kept is the monitor's own key, and the certificate
//! by which it recognizes the others.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name, X509NameRef};

use crate::client::Secret;
use crate::files::atomic;

/// As much as nobody guesses.
const LEAST_TOKEN_BYTES: usize = 32;
const RANDOM_BYTES: usize = 32;
/// A clock that is off must not lock a monitor out: 2020 to 2120.
const VALID_FROM: i64 = 1_577_836_800;
const VALID_UNTIL: i64 = 4_733_510_400;

const AUTHORITY: &str = "pg_autoctl monitors";

/// What a monitor needs to be created as one of several.
#[derive(Clone, Debug)]
pub(crate) struct Token(Secret);

impl Token {
    /// Reads the token in a file; makes a file with a new one when there is none.
    ///
    /// # Errors
    /// A file that cannot be read or made, or a token that is too short.
    pub(crate) fn of_file(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("\"{}\": {error}", path.display());
        if !path.exists() {
            let mut random = [0; RANDOM_BYTES];
            openssl::rand::rand_bytes(&mut random).map_err(|error| failed(&error))?;
            let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            atomic::write(path, format!("{text}\n").as_bytes()).map_err(|error| failed(&error))?;
            tracing::info!(
                "made a join token in \"{}\": the other monitors need a copy of this file",
                path.display()
            );
        }
        Self::present(path)
    }

    /// Reads the token in a file, which must be there.
    ///
    /// # Errors
    /// A file that cannot be read, or a token that is too short.
    pub(crate) fn present(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("\"{}\": {error}", path.display()))?;
        Self::parse(text.trim())
    }

    /// Takes a token as it is given.
    ///
    /// # Errors
    /// It is too short.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() < LEAST_TOKEN_BYTES {
            return Err(format!(
                "a join token has at least {LEAST_TOKEN_BYTES} characters, which nobody can guess"
            ));
        }
        Ok(Self(Secret::new(text.to_owned())))
    }

    fn key(&self) -> Result<PKey<Private>, ErrorStack> {
        let mut hasher = openssl::hash::Hasher::new(MessageDigest::sha256())?;
        hasher.update(AUTHORITY.as_bytes())?;
        hasher.update(&[0])?;
        hasher.update(self.0.expose().as_bytes())?;
        PKey::private_key_from_raw_bytes(&hasher.finish()?, Id::ED25519)
    }
}

/// The files by which a monitor is known to the others, and knows them.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    directory: PathBuf,
}

/// The name in the certificate of the other side.
pub(crate) fn name_of(certificate: &X509) -> Option<String> {
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    String::from_utf8(entry.data().as_slice().to_vec()).ok()
}

impl Identity {
    /// The files in this directory, which need not be there.
    pub(crate) fn within(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a certificate for a monitor of that name.
    ///
    /// # Errors
    /// OpenSSL's, or a file that cannot be written.
    pub(crate) fn create(&self, token: &Token, name: &str) -> Result<(), String> {
        let made = || -> Result<[(&str, Vec<u8>); 3], ErrorStack> {
            let authority_key = token.key()?;
            let authority = certificate(AUTHORITY, &authority_key, None)?;
            let key = PKey::generate_ed25519()?;
            let own = certificate(name, &key, Some((&authority, &authority_key)))?;
            Ok([
                ("authority.crt", authority.to_pem()?),
                ("own.key", key.private_key_to_pem_pkcs8()?),
                ("own.crt", own.to_pem()?),
            ])
        };
        let files = made().map_err(|error| format!("could not make a certificate: {error}"))?;
        atomic::make_directory(&self.directory)
            .map_err(|error| format!("\"{}\": {error}", self.directory.display()))?;
        for (name, content) in files {
            let path = self.file(name);
            atomic::write(&path, &content).map_err(|error| format!("\"{}\": {error}", path.display()))?;
        }
        Ok(())
    }

    /// What a connection begins with, in either direction: both sides prove who they are.
    ///
    /// # Errors
    /// The files cannot be used.
    pub(crate) fn context(&self) -> Result<SslContext, String> {
        let read = |name: &str| {
            let path = self.file(name);
            fs::read(&path).map_err(|error| format!("\"{}\": {error}", path.display()))
        };
        let (authority, own, key) = (read("authority.crt")?, read("own.crt")?, read("own.key")?);
        let context = || -> Result<SslContext, ErrorStack> {
            let mut store = X509StoreBuilder::new()?;
            store.add_cert(X509::from_pem(&authority)?)?;
            let mut context = SslContextBuilder::new(SslMethod::tls())?;
            context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
            context.set_cert_store(store.build());
            context.set_certificate(X509::from_pem(&own)?.as_ref())?;
            context.set_private_key(PKey::private_key_from_pem(&key)?.as_ref())?;
            context.check_private_key()?;
            context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            Ok(context.build())
        };
        context().map_err(|error| {
            format!("the certificate in \"{}\" cannot be used: {error}", self.directory.display())
        })
    }
}

fn named(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

/// A certificate of an authority, or of a monitor that an authority signs for.
fn certificate(
    name: &str,
    key: &PKey<Private>,
    signer: Option<(&X509, &PKey<Private>)>,
) -> Result<X509, ErrorStack> {
    let subject = named(name)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, openssl::bn::MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(Asn1Integer::from_bn(&serial)?.as_ref())?;
    builder.set_subject_name(&subject)?;
    builder.set_not_before(Asn1Time::from_unix(VALID_FROM)?.as_ref())?;
    builder.set_not_after(Asn1Time::from_unix(VALID_UNTIL)?.as_ref())?;
    builder.set_pubkey(key)?;
    let issuer: &X509NameRef = match signer {
        Some((authority, _)) => authority.subject_name(),
        None => &subject,
    };
    builder.set_issuer_name(issuer)?;
    if signer.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
    } else {
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    }
    builder.sign(signer.map_or(key, |(_, key)| key), MessageDigest::null())?;
    Ok(builder.build())
}
