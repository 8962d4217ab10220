//! Connection strings of every kind, right and wrong.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::{ConnectionString, Host, Secret, SslMode, SslOptions};

/// Any text that can be part of a connection string: not empty, without the one character that Postgres cannot take.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9._-]{1,12}",
        "[ -~]{1,12}",
        any::<String>().prop_map(|text| text.replace('\0', "")).prop_filter("empty", |text| !text.is_empty()),
    ]
}

fn host() -> impl Strategy<Value = Host> {
    let name = prop_oneof![
        "[a-z0-9.-]{1,20}",
        "/[a-z/]{1,20}",
        any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
        "fe80::[0-9a-f]{1,4}%eth[0-9]",
    ];
    (name, 1..=u16::MAX).prop_map(|(name, port)| Host { name, port, address: None })
}

fn ssl() -> impl Strategy<Value = SslOptions> {
    let file = || proptest::option::of(text().prop_map(PathBuf::from));
    let mode = (0..SslMode::ALL.len()).prop_map(|index| SslMode::ALL[index]);
    (mode, file(), file(), file(), file())
        .prop_map(|(mode, root_cert, cert, key, crl)| SslOptions {
            mode,
            root_cert,
            cert,
            key,
            crl,
            ..SslOptions::default()
        })
        // This one has a mode of its own.
        .prop_filter("system", |ssl| ssl.root_cert.as_deref() != Some("system".as_ref()))
}

fn connection_string() -> impl Strategy<Value = ConnectionString> {
    let option = || proptest::option::of(text());
    let timeout = proptest::option::of((1..=u64::from(u32::MAX)).prop_map(Duration::from_secs));
    let names = (option(), option(), option(), option(), option());
    let hosts = proptest::collection::vec(host(), 1..4);
    (hosts, names, ssl(), timeout, any::<bool>()).prop_map(
        |(hosts, (user, password, dbname, application_name, options), ssl, connect_timeout, needs_writer)| {
            ConnectionString {
                hosts,
                user,
                password: password.map(Secret::new),
                dbname,
                ssl,
                application_name,
                options,
                connect_timeout,
                needs_writer,
                ..ConnectionString::default()
            }
        },
    )
}

/// As pairs of key=value, quoted as libpq wants it.
fn to_pairs(target: &ConnectionString) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let list = |item: fn(&Host) -> String| target.hosts.iter().map(item).collect::<Vec<_>>().join(",");
    let mut pairs = vec![
        format!("host={}", quote(&list(|host| host.name.clone()))),
        format!("port={}", list(|host| host.port.to_string())),
        format!("sslmode={}", target.ssl.mode),
    ];
    let mut pair = |key: &str, value: Option<String>| {
        pairs.extend(value.map(|value| format!("{key} = {}", quote(&value))));
    };
    let file = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
    pair("user", target.user.clone());
    pair("password", target.password.as_ref().map(|password| password.expose().to_owned()));
    pair("dbname", target.dbname.clone());
    pair("sslrootcert", file(&target.ssl.root_cert));
    pair("sslcert", file(&target.ssl.cert));
    pair("sslkey", file(&target.ssl.key));
    pair("sslcrl", file(&target.ssl.crl));
    pair("application_name", target.application_name.clone());
    pair("options", target.options.clone());
    pair("connect_timeout", target.connect_timeout.map(|timeout| timeout.as_secs().to_string()));
    pair("target_session_attrs", target.needs_writer.then(|| "read-write".to_owned()));
    pairs.join(" ")
}

/// Texts that are nearly connection strings.
fn nearly() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("postgres://".to_owned()),
        "[a-z0-9]{0,4}[:@/?&=,%\\[\\] ']{0,3}",
        "%[0-9a-fg]{0,3}",
        "%00",
        "(host|port|user|dbname|sslmode|connect_timeout|password)=[a-z0-9,'\\\\ -]{0,6}",
        "\\PC{0,3}",
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(target in connection_string()) {
        prop_assert_eq!(target.to_uri().parse(), Ok(target));
    }

    #[test]
    fn both_forms_mean_the_same(target in connection_string()) {
        prop_assert_eq!(to_pairs(&target).parse(), Ok(target));
    }

    #[test]
    fn a_text_means_what_it_is_printed_as_or_is_refused(text in prop_oneof![nearly(), any::<String>()]) {
        if let Ok(target) = text.parse::<ConnectionString>() {
            prop_assert_eq!(target.to_uri().parse(), Ok(target.clone()), "{}", target.to_uri());
            prop_assert!(!format!("{target:?}").contains("\\0"), "{:?}", target);
        }
    }

    #[test]
    fn a_password_is_in_no_message(text in nearly(), password in "[A-Z]{12}") {
        for text in [format!("postgres://u:{password}@{text}"), format!("password={password} {text}")] {
            match text.parse::<ConnectionString>() {
                Ok(target) => prop_assert!(!target.to_string().contains(&password), "{}", target),
                Err(error) => prop_assert!(!error.to_string().contains(&password), "{}", error),
            }
        }
    }
}
