//! Connection strings of the monitor: what libpq takes is taken, with the same outcome, or refused with the reason.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{give_to_postgres, wait_for};

cases! {
    0:
        passwords_are_found_where_libpq_finds_them,
        parameters_of_tls_mean_what_they_mean_to_libpq,
        hosts_mean_what_they_mean_to_libpq,
        what_cannot_be_followed_is_refused_by_name;
}

/// What becomes of a connection string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Connects,
    Fails,
}
use Outcome::{Connects, Fails};

/// A monitor that asks for a password, which is `sesame`, and offers TLS.
fn bring_up(bed: &mut Bed) -> Result<()> {
    bed.without_monitor()?;
    bed.start_monitor(&["--auth", "scram-sha-256", "--ssl-self-signed"])?;
    bed.monitor.sql("alter role autoctl_node password 'sesame'")?;
    bed.prepare("client").map(drop)
}

/// `pg_autoctl` and psql are told the same, and the same comes of it.
fn check(bed: &Bed, variables: &[(&str, &str)], string: &str, expected: Outcome) -> Result<()> {
    let client = bed.node("client");
    let ask = |program: &str, args: &[&str]| {
        let mut command = client.command(program, args);
        command.envs(variables.iter().copied());
        crate::harness::run_to_end(&mut command, std::time::Duration::from_secs(30))
    };
    // On a busy machine the monitor may not answer in the short time that a person waits for it.
    let ours = wait_for("an answer of the monitor", WITHIN, || {
        let ours = ask("pg_autoctl", &["show", "state", "--monitor", string])?;
        Ok((!ours.stderr.contains("got no answer within")).then_some(ours))
    })?;
    let theirs = ask("psql", &["-XAtqw", "-d", string, "-c", "select 1"])?;
    let outcome = |ended: &crate::harness::Ended| if ended.status.success() { Connects } else { Fails };
    let seen = (outcome(&ours), outcome(&theirs));
    ensure!(
        seen == (expected, expected),
        "{variables:?} \"{string}\": pg_autoctl {:?}, libpq {:?}, expected {expected:?}\n{}\n{}",
        seen.0,
        seen.1,
        ours.stderr,
        theirs.stderr
    );
    Ok(())
}

/// A file of the client that nobody else can read.
fn write(bed: &Bed, name: &str, content: &str) -> Result<String> {
    let path = bed.node("client").directory.join("home").join(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    give_to_postgres(&path)?;
    Ok(path.display().to_string())
}

fn passwords_are_found_where_libpq_finds_them(bed: &mut Bed) -> Result<()> {
    bring_up(bed)?;
    let port = bed.monitor.port;
    let plain = format!("host=127.0.0.1 port={port} user=autoctl_node dbname=pg_auto_failover");
    let uri = format!("postgres://autoctl_node@127.0.0.1:{port}/pg_auto_failover");
    check(bed, &[], &plain, Fails)?;
    check(bed, &[("PGPASSWORD", "sesame")], &plain, Connects)?;
    check(bed, &[("PGPASSWORD", "wrong")], &plain, Fails)?;
    check(bed, &[("PGPASSWORD", "wrong")], &uri.replace("autoctl_node@", "autoctl_node:sesame@"), Connects)?;
    let lines = format!("# ours\n127.0.0.1:{port}:pg_auto_failover:autoctl_node:sesame\n");
    let elsewhere = write(bed, "passwords", &lines)?;
    check(bed, &[("PGPASSFILE", &elsewhere)], &uri, Connects)?;
    check(bed, &[], &format!("{plain} passfile='{elsewhere}'"), Connects)?;
    check(bed, &[], &format!("{uri}?passfile={elsewhere}"), Connects)?;
    // By the name of the host, where there is one, and not by its address.
    let by_name = write(bed, "by_name", "db.example:*:*:*:sesame\n127.0.0.1:*:*:*:wrong\n")?;
    let named =
        format!("host=db.example hostaddr=127.0.0.1 port={port} user=autoctl_node dbname=pg_auto_failover");
    check(bed, &[("PGPASSFILE", &by_name)], &named, Connects)?;
    let by_address = write(bed, "by_address", "127.0.0.1:*:*:*:sesame\n")?;
    let addressed = named.replace("host=db.example ", "");
    check(bed, &[("PGPASSFILE", &by_address)], &addressed, Connects)?;
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o644))?;
    check(bed, &[("PGPASSFILE", &elsewhere)], &uri, Fails)?;
    write(bed, ".pgpass", &lines)?;
    check(bed, &[], &uri, Connects)?;
    // Services.
    let service = format!(
        "[ha]\nhost=127.0.0.1\nport={port}\nuser=autoctl_node\ndbname=pg_auto_failover\npassword=sesame\n"
    );
    let services = write(bed, "services", &service)?;
    check(bed, &[("PGSERVICEFILE", &services)], "service=ha", Connects)?;
    check(bed, &[("PGSERVICEFILE", &services)], "service=none", Fails)?;
    check(bed, &[("PGSERVICEFILE", &services)], "postgres://?service=ha", Connects)?;
    check(bed, &[("PGSERVICEFILE", &services), ("PGSERVICE", "ha")], "dbname=pg_auto_failover", Connects)?;
    write(bed, ".pg_service.conf", &service)?;
    check(bed, &[], "service=ha", Connects)?;
    // A node that is created with it finds the password again after a restart.
    bed.prepare("n1")?;
    write(bed, "../../n1/home/.pgpass", &lines)?;
    bed.create("n1", &["--monitor", &uri])?;
    wait_single(bed)?;
    bed.node_mut("n1").stop()?;
    bed.node_mut("n1").run()?;
    wait_for("n1 to serve again", WITHIN, || bed.node("n1").sql("select 1").map(Some))?;
    wait_single(bed)
}

/// The monitor refuses the sessions that cases ask with as a rule.
fn wait_single(bed: &Bed) -> Result<()> {
    let sql =
        "select count(*) from pgautofailover.node where goalstate = 'single' and reportedstate = 'single'";
    wait_for("n1 to be single", WITHIN, || {
        let count = bed.monitor.sql_as("postgres", "pg_auto_failover", sql)?;
        ensure!(count == "1", "it is not");
        Ok(Some(()))
    })
}

fn parameters_of_tls_mean_what_they_mean_to_libpq(bed: &mut Bed) -> Result<()> {
    bring_up(bed)?;
    let port = bed.monitor.port;
    let base =
        format!("host=127.0.0.1 port={port} user=autoctl_node dbname=pg_auto_failover password=sesame");
    let certificate = bed.monitor.sql("show ssl_cert_file")?;
    let certificate = bed.monitor.pgdata().join(certificate.trim()).display().to_string();
    let major = bed.monitor.sql("show server_version_num")?.trim().parse::<u32>()? / 10_000;
    for (parameters, outcome) in [
        ("sslmode=disable", Connects),
        ("sslmode=allow", Connects),
        ("sslmode=prefer", Connects),
        ("sslmode=require", Connects),
        ("requiressl=1", Connects),
        ("sslmode=require channel_binding=require", Connects),
        ("sslmode=prefer channel_binding=prefer", Connects),
        ("sslmode=disable channel_binding=require", Fails),
        ("sslmode=verify-full", Fails),
        ("sslmode=require ssl_min_protocol_version=TLSv1.2 ssl_max_protocol_version=TLSv1.3", Connects),
        ("sslmode=require ssl_min_protocol_version=TLSv1.3", Connects),
        ("sslmode=require sslsni=0", Connects),
        ("sslmode=require sslcompression=1", Connects),
        ("sslmode=require gssencmode=disable", Connects),
        ("sslmode=require gssencmode=prefer", Connects),
        ("gssencmode=require", Fails),
        ("sslmode=verify-full sslrootcert=/nonexistent", Fails),
    ] {
        check(bed, &[], &format!("{base} {parameters}"), outcome)?;
    }
    check(bed, &[], &format!("{base} sslmode=verify-ca sslrootcert='{certificate}'"), Connects)?;
    if major >= 16 {
        for (parameters, outcome) in [
            ("sslmode=require sslcertmode=disable", Connects),
            ("sslmode=require sslcertmode=allow", Connects),
            ("sslrootcert=system", Fails),
            ("sslrootcert=system sslmode=require", Fails),
        ] {
            check(bed, &[], &format!("{base} {parameters}"), outcome)?;
        }
    }
    if major >= 17 {
        check(bed, &[], &format!("{base} sslmode=require sslnegotiation=direct"), Connects)?;
        check(bed, &[], &format!("{base} sslmode=prefer sslnegotiation=direct"), Fails)?;
        check(bed, &[], &format!("{base} sslmode=require sslnegotiation=postgres"), Connects)?;
    }
    Ok(())
}

fn hosts_mean_what_they_mean_to_libpq(bed: &mut Bed) -> Result<()> {
    bring_up(bed)?;
    let port = bed.monitor.port;
    let nobody = crate::port::free()?;
    let rest = "user=autoctl_node dbname=pg_auto_failover password=sesame";
    let socket = bed.monitor.directory.join("s").display().to_string();
    let major = bed.monitor.sql("show server_version_num")?.trim().parse::<u32>()? / 10_000;
    for (string, outcome) in [
        (format!("host=127.0.0.1,127.0.0.1 port={nobody},{port} {rest}"), Connects),
        (format!("host=127.0.0.1,localhost port={port} {rest}"), Connects),
        (format!("host=127.0.0.1 port={nobody},{port} {rest}"), Fails),
        (format!("host=no-such-host.invalid,127.0.0.1 port={port} {rest}"), Connects),
        (format!("hostaddr=127.0.0.1 port={port} {rest}"), Connects),
        (format!("host=any.invalid hostaddr=127.0.0.1 port={port} {rest}"), Connects),
        (format!("host=127.0.0.1 hostaddr=192.0.2.1,127.0.0.1 port={port} {rest}"), Fails),
        (format!("host={socket} port={port} {rest}"), Connects),
        (format!("host=127.0.0.1 port={port} {rest} target_session_attrs=read-write"), Connects),
        (format!("host=127.0.0.1 port={port} {rest} target_session_attrs=primary"), Connects),
        (format!("host=127.0.0.1 port={port} {rest} target_session_attrs=any"), Connects),
        (format!("host=127.0.0.1 port={port} {rest} target_session_attrs=maybe"), Fails),
        (
            format!("host=127.0.0.1 port={port} {rest} connect_timeout=2 keepalives=1 keepalives_idle=2"),
            Connects,
        ),
        (format!("host=127.0.0.1 port={port} {rest} connect_timeout=0 tcp_user_timeout=5000"), Connects),
        (format!("host=127.0.0.1 port={port} {rest} connect_timeout=soon"), Fails),
        (
            format!("host=127.0.0.1 port={port} {rest} options='-c work_mem=9MB' application_name=me"),
            Connects,
        ),
        (format!("host=127.0.0.1 port={port} {rest} colour=red"), Fails),
        (format!("host=127.0.0.1 port=0 {rest}"), Fails),
        (format!("host = '127.0.0.1' port = {port} {rest} fallback_application_name = 'it\\'s'"), Connects),
        (
            format!("postgresql://autoctl_node:sesame@127.0.0.1:{nobody},127.0.0.1:{port}/pg_auto_failover"),
            Connects,
        ),
        (
            format!("postgres://autoctl_node:%73esame@localhost:{port}/pg_auto_failover?sslmode=prefer"),
            Connects,
        ),
    ] {
        check(bed, &[], &string, outcome)?;
    }
    if major >= 16 {
        let string = format!("host=127.0.0.1,127.0.0.1 port={nobody},{port} {rest} load_balance_hosts=");
        check(bed, &[], &format!("{string}random"), Connects)?;
        check(bed, &[], &format!("{string}disable"), Connects)?;
        check(bed, &[], &format!("{string}sometimes"), Fails)?;
    }
    Ok(())
}

fn what_cannot_be_followed_is_refused_by_name(bed: &mut Bed) -> Result<()> {
    bring_up(bed)?;
    let port = bed.monitor.port;
    let base =
        format!("host=127.0.0.1 port={port} user=autoctl_node dbname=pg_auto_failover password=sesame");
    bed.prepare("n1")?;
    for (parameter, value) in [
        ("require_auth", "scram-sha-256"),
        ("sslpassword", "p"),
        ("sslcrldir", "/tmp"),
        ("sslcertmode", "require"),
        ("requirepeer", "postgres"),
        ("replication", "true"),
        ("gssencmode", "require"),
        ("target_session_attrs", "standby"),
        ("min_protocol_version", "3.2"),
        ("scram_client_key", "AAAA"),
        ("scram_server_key", "AAAA"),
        ("sslkeylogfile", "/tmp/keys"),
        ("oauth_issuer", "https://issuer.example"),
        ("oauth_client_id", "me"),
        ("oauth_client_secret", "hidden"),
        ("oauth_scope", "all"),
    ] {
        let string = format!("{base} {parameter}={value}");
        let args = bed.create_args("n1", &["--monitor", &string]);
        let refused = bed.node("n1").program("pg_autoctl", &args)?;
        ensure!(!refused.status.success(), "{parameter} was taken");
        ensure!(refused.stderr.contains(parameter), "{parameter} is not named: {}", refused.stderr);
        ensure!(
            !refused.stderr.contains("sesame") && !refused.stderr.contains("hidden"),
            "{}",
            refused.stderr
        );
        ensure!(!bed.node("n1").pgdata().exists(), "{parameter}: something was made before it was refused");
    }
    Ok(())
}
