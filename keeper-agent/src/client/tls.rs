//! What a connection accepts as the server's certificate: what libpq accepts, with the library that libpq has.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    ConnectConfiguration, SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion,
};
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{GeneralNameRef, X509, X509Ref, X509StoreContextRef, X509VerifyResult};
use postgres_openssl::{MakeTlsConnector, set_postgresql_alpn};

use super::ssl::{SYSTEM_AUTHORITIES, SslMode, SslOptions, TlsProtocol};
use crate::user;

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
    #[error("cannot set up TLS: {}", reasons(.0))]
    OpenSsl(#[from] ErrorStack),
}

/// Makes encrypted connections, and knows why a certificate was not accepted.
pub(super) struct Connector {
    pub(super) make: MakeTlsConnector,
    pub(super) verdict: Verdict,
}

/// Why the server's certificate was not accepted; empty while none was looked at, or it was good.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<X509VerifyResult>>>);

impl Verdict {
    fn set(&self, result: X509VerifyResult) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    /// The reason, for a person.
    pub(super) fn reason(&self) -> Option<String> {
        let result = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(match result.as_raw() {
            openssl_sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
            | openssl_sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | openssl_sys::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
            | openssl_sys::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
            | openssl_sys::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
            | openssl_sys::X509_V_ERR_CERT_SIGNATURE_FAILURE => {
                "no authority in the file of sslrootcert has signed it".to_owned()
            }
            openssl_sys::X509_V_ERR_HOSTNAME_MISMATCH | openssl_sys::X509_V_ERR_IP_ADDRESS_MISMATCH => {
                "it is for another host name, and sslmode is verify-full".to_owned()
            }
            openssl_sys::X509_V_ERR_CERT_HAS_EXPIRED => "it has expired".to_owned(),
            openssl_sys::X509_V_ERR_CERT_REVOKED => "it was revoked".to_owned(),
            _ => result.error_string().to_owned(),
        })
    }
}

/// Whom the server's certificate has to be from.
enum Authority {
    /// Anybody: the connection is encrypted, whoever is at the other end.
    Any,
    /// An authority in this file.
    File(PathBuf),
    /// One of those that the system trusts.
    System,
}

/// Makes the connector for these options; they are read from their files each time, so that a renewed certificate
/// is used by the next connection.
pub(super) fn connector(options: &SslOptions) -> Result<Connector, TlsError> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(options.min_protocol.map_or(SslVersion::TLS1_2, version)))?;
    builder.set_max_proto_version(options.max_protocol.map(version))?;
    let authority = authority(options)?;
    match &authority {
        // The builder's own store is the system's.
        Authority::System => {}
        Authority::Any => builder.set_cert_store(X509StoreBuilder::new()?.build()),
        Authority::File(root) => {
            let crl = options.crl.clone().or_else(|| default_file("root.crl"));
            builder.set_cert_store(trusted(root, crl.as_deref())?);
        }
    }
    if !options.keeps_certificate {
        set_client_certificate(&mut builder, options)?;
    }
    if options.begins_with_tls {
        set_postgresql_alpn(&mut builder)?;
    }
    let tells_name = !options.keeps_name;
    let is_verified = !matches!(authority, Authority::Any);
    let is_name_verified = is_verified && options.mode == SslMode::VerifyFull;
    let verdict = Verdict::default();
    let mut make = MakeTlsConnector::new(builder.build());
    let told = verdict.clone();
    make.set_callback(move |connection, host| {
        connection.set_use_server_name_indication(tells_name);
        set_verification(connection, is_verified, is_name_verified.then_some(host), told.clone());
        Ok(())
    });
    Ok(Connector { make, verdict })
}

const fn version(protocol: TlsProtocol) -> SslVersion {
    match protocol {
        TlsProtocol::Tls1 => SslVersion::TLS1,
        TlsProtocol::Tls11 => SslVersion::TLS1_1,
        TlsProtocol::Tls12 => SslVersion::TLS1_2,
        TlsProtocol::Tls13 => SslVersion::TLS1_3,
    }
}

/// A given or a default file makes `require` mean `verify-ca`, as in libpq.
fn authority(options: &SslOptions) -> Result<Authority, TlsError> {
    if options.mode < SslMode::Require {
        return Ok(Authority::Any);
    }
    match options.root_cert.clone().or_else(|| default_file("root.crt")) {
        Some(root) if root.as_os_str() == SYSTEM_AUTHORITIES => Ok(Authority::System),
        Some(root) => Ok(Authority::File(root)),
        None if options.mode >= SslMode::VerifyCa => Err(TlsError::NoAuthority(options.mode)),
        None => Ok(Authority::Any),
    }
}

/// The authorities in a file. With a list of revoked certificates, every certificate has to be covered by one.
fn trusted(root: &Path, crl: Option<&Path>) -> Result<X509Store, TlsError> {
    let mut store = X509StoreBuilder::new()?;
    fill(&mut store, root, crl)?;
    Ok(store.build())
}

fn fill(store: &mut X509StoreBuilder, root: &Path, crl: Option<&Path>) -> Result<(), TlsError> {
    for certificate in read_certificates("the root certificate", root)? {
        store.add_cert(certificate)?;
    }
    if let Some(crl) = crl {
        const WHAT: &str = "the list of revoked certificates";
        read(WHAT, crl)?;
        let name = crl.to_str().ok_or_else(|| file_error(WHAT, crl, &"its name is not UTF-8"))?;
        let lookup = store.add_lookup(X509Lookup::file())?;
        lookup
            .load_crl_file(name, openssl::ssl::SslFiletype::PEM)
            .map_err(|error| file_error(WHAT, crl, &reasons(&error)))?;
        store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)?;
    }
    Ok(())
}

/// Verifies the chain, and the name when there is one, and remembers why a certificate is not accepted.
fn set_verification(
    connection: &mut ConnectConfiguration,
    is_verified: bool,
    host: Option<&str>,
    verdict: Verdict,
) {
    connection.set_verify_hostname(host.is_some());
    if !is_verified {
        connection.set_verify(SslVerifyMode::NONE);
        return;
    }
    let address = host.filter(|host| host.parse::<IpAddr>().is_ok()).map(str::to_owned);
    connection.set_verify_callback(SslVerifyMode::PEER, move |is_good, context| {
        if is_good || is_named_like(context, address.as_deref()) {
            return true;
        }
        verdict.set(context.error());
        false
    });
}

/// The certificate does not have the address as such, but as a name: libpq takes that, OpenSSL does not.
fn is_named_like(context: &mut X509StoreContextRef, address: Option<&str>) -> bool {
    let Some(address) = address else { return false };
    if context.error().as_raw() != openssl_sys::X509_V_ERR_IP_ADDRESS_MISMATCH {
        return false;
    }
    let is_named = context.current_cert().is_some_and(|certificate| has_name(certificate, address));
    if is_named {
        context.set_error(X509VerifyResult::OK);
    }
    is_named
}

/// An alternative name of the certificate is this text; or its common name is, when it lists no addresses.
fn has_name(certificate: &X509Ref, address: &str) -> bool {
    let alternatives = certificate.subject_alt_names();
    let has = |is_meant: &dyn Fn(&GeneralNameRef) -> bool| alternatives.iter().flatten().any(is_meant);
    if has(&|name| name.dnsname() == Some(address)) {
        return true;
    }
    let has_addresses = has(&|name| name.ipaddress().is_some());
    let mut common_names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    let is_common_name =
        common_names.next().and_then(|name| name.data().to_string().ok()).is_some_and(|name| name == address);
    is_common_name && !has_addresses
}

fn set_client_certificate(builder: &mut SslConnectorBuilder, options: &SslOptions) -> Result<(), TlsError> {
    let given = match (&options.cert, &options.key) {
        (None, None) => default_file("postgresql.crt").zip(default_file("postgresql.key")),
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        _ => return Err(TlsError::KeyWithoutCertificate),
    };
    let Some((certificate, key)) = given else { return Ok(()) };
    let mut chain = read_certificates("the client certificate", &certificate)?.into_iter();
    if let Some(own) = chain.next() {
        builder.set_certificate(&own)?;
    }
    for issuer in chain {
        builder.add_extra_chain_cert(issuer)?;
    }
    const KEY: &str = "the key of the client certificate";
    let own_key = read_key(KEY, &key)?;
    builder
        .set_private_key(&own_key)
        .and_then(|()| builder.check_private_key())
        .map_err(|error| file_error(KEY, &key, &reasons(&error)))
}

/// A file that libpq looks for when none is given.
fn default_file(name: &str) -> Option<PathBuf> {
    let path = user::home()?.join(".postgresql").join(name);
    path.is_file().then_some(path)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| file_error(what, path, &error))
}

fn read_certificates(what: &'static str, path: &Path) -> Result<Vec<X509>, TlsError> {
    let certificates =
        X509::stack_from_pem(&read(what, path)?).map_err(|error| file_error(what, path, &reasons(&error)))?;
    if certificates.is_empty() {
        return Err(file_error(what, path, &"there is no certificate in it"));
    }
    Ok(certificates)
}

/// Nobody is asked for a passphrase.
fn read_key(what: &'static str, path: &Path) -> Result<PKey<Private>, TlsError> {
    PKey::private_key_from_pem_callback(&read(what, path)?, |_| Ok(0))
        .map_err(|error| file_error(what, path, &reasons(&error)))
}

fn file_error(what: &'static str, path: &Path, reason: &dyn fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}

/// What OpenSSL says, without its codes.
fn reasons(error: &ErrorStack) -> String {
    let reasons: Vec<&str> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if reasons.is_empty() { error.to_string() } else { reasons.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::ssl::{SslAcceptor, SslMethod};
    use openssl::stack::Stack;
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::verify::X509VerifyParam;
    use openssl::x509::{X509NameBuilder, X509StoreContext};

    use super::*;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
    }

    /// What is wrong with the certificate of version 1 in that year; zero when nothing is.
    fn problem(root: &str, crl: Option<&str>, year: i64) -> i32 {
        let crl = crl.map(file);
        let mut store = X509StoreBuilder::new().expect("a store");
        fill(&mut store, &file(root), crl.as_deref()).expect("filled");
        let mut parameters = X509VerifyParam::new().expect("parameters");
        parameters.set_time((year - 1970) * 31_557_600);
        store.set_param(&parameters).expect("set");
        let store = store.build();
        let certificate = &read_certificates("it", &file("version1.crt")).expect("read")[0];
        let chain = Stack::new().expect("a stack");
        let mut context = X509StoreContext::new().expect("a context");
        let verify = |context: &mut X509StoreContextRef| context.verify_cert().map(|_| context.error());
        context.init(&store, certificate, &chain, verify).expect("verified").as_raw()
    }

    #[test]
    fn an_authority_must_have_signed_it_while_it_is_in_force() {
        assert_eq!(problem("authority.crt", None, 2040), openssl_sys::X509_V_OK);
        assert_ne!(problem("impostor.crt", None, 2040), openssl_sys::X509_V_OK);
        assert_eq!(problem("authority.crt", None, 2020), openssl_sys::X509_V_ERR_CERT_NOT_YET_VALID);
        assert_eq!(problem("authority.crt", None, 2200), openssl_sys::X509_V_ERR_CERT_HAS_EXPIRED);
        assert_eq!(problem("authority.crt", Some("clean.crl"), 2040), openssl_sys::X509_V_OK);
        assert_eq!(problem("authority.crt", Some("revoked.crl"), 2040), openssl_sys::X509_V_ERR_CERT_REVOKED);
    }

    /// A certificate that signs itself, with names like `DNS:db1` and `IP:192.0.2.1`, and its key.
    fn certificate(common_name: &str, names: &[&str]) -> (X509, PKey<Private>) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
        let key = PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key");
        let mut subject = X509NameBuilder::new().expect("a name");
        subject.append_entry_by_nid(Nid::COMMONNAME, common_name).expect("named");
        let subject = subject.build();
        let mut builder = X509::builder().expect("a builder");
        let serial = BigNum::from_u32(1).and_then(|number| number.to_asn1_integer()).expect("a number");
        builder.set_version(2).expect("set");
        builder.set_serial_number(&serial).expect("set");
        builder.set_subject_name(&subject).expect("set");
        builder.set_issuer_name(&subject).expect("set");
        builder.set_pubkey(&key).expect("set");
        builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("set");
        builder.set_not_after(&Asn1Time::days_from_now(1).expect("a time")).expect("set");
        if !names.is_empty() {
            let mut alternatives = SubjectAlternativeName::new();
            for name in names {
                match name.split_once(':') {
                    Some(("DNS", name)) => alternatives.dns(name),
                    Some(("IP", address)) => alternatives.ip(address),
                    _ => panic!("{name}"),
                };
            }
            let extension = alternatives.build(&builder.x509v3_context(None, None)).expect("built");
            builder.append_extension(extension).expect("appended");
        }
        builder.sign(&key, MessageDigest::sha256()).expect("signed");
        (builder.build(), key)
    }

    /// A handshake with a server that has this certificate; why it was refused, if it was.
    fn refusal(
        host: &str,
        mode: SslMode,
        is_known: bool,
        (own, key): &(X509, PKey<Private>),
    ) -> Option<String> {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("root.crt");
        let known = if is_known { own.clone() } else { certificate("other", &[]).0 };
        fs::write(&root, known.to_pem().expect("written")).expect("written");
        let mut acceptor =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("an acceptor");
        acceptor.set_certificate(own).expect("set");
        acceptor.set_private_key(key).expect("set");
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("accepted");
            // What the client makes of the certificate is what counts.
            drop(acceptor.accept(stream));
        });
        let options = SslOptions { mode, root_cert: Some(root), ..SslOptions::default() };
        let Connector { mut make, verdict } = connector(&options).expect("a connector");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connected = runtime.block_on(async {
            use tokio_postgres::tls::{MakeTlsConnect, TlsConnect as _};
            let stream = TcpStream::connect(address).expect("connected");
            stream.set_nonblocking(true).expect("set");
            let stream = tokio::net::TcpStream::from_std(stream).expect("a stream");
            MakeTlsConnect::<tokio::net::TcpStream>::make_tls_connect(&mut make, host)
                .expect("made")
                .connect(stream)
                .await
                .is_ok()
        });
        server.join().expect("served");
        assert_eq!(connected, verdict.reason().is_none());
        verdict.reason()
    }

    #[test]
    fn the_name_counts_with_verify_full() {
        let named = certificate("db1", &[]);
        let wildcard = certificate("x", &["DNS:*.example.org"]);
        let address = certificate("192.0.2.7", &[]);
        let addresses = certificate("192.0.2.7", &["IP:192.0.2.1", "DNS:192.0.2.2"]);
        for (host, certificate, is_accepted) in [
            ("db1", &named, true),
            ("DB1", &named, true),
            ("db2", &named, false),
            ("db1.example.org", &wildcard, true),
            ("a.b.example.org", &wildcard, false),
            ("example.org", &wildcard, false),
            ("x", &wildcard, false),
            ("192.0.2.7", &address, true),
            ("192.0.2.8", &address, false),
            ("192.0.2.1", &addresses, true),
            ("192.0.2.2", &addresses, true),
            ("192.0.2.7", &addresses, false),
        ] {
            let refusal = refusal(host, SslMode::VerifyFull, true, certificate);
            let expected =
                (!is_accepted).then(|| "it is for another host name, and sslmode is verify-full".to_owned());
            assert_eq!(refusal, expected, "{host}");
        }
    }

    #[test]
    fn the_authority_counts_with_verify_ca() {
        let unknown = Some("no authority in the file of sslrootcert has signed it".to_owned());
        let named = certificate("db1", &[]);
        assert_eq!(refusal("elsewhere", SslMode::VerifyCa, true, &named), None);
        assert_eq!(refusal("db1", SslMode::VerifyCa, false, &named), unknown);
        // A file of authorities makes it as strict.
        assert_eq!(refusal("db1", SslMode::Require, false, &named), unknown);
        assert_eq!(refusal("db1", SslMode::Prefer, false, &named), None);
    }
}
