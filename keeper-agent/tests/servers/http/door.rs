//! Who gets in, and what nobody can do from outside.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::client::Endpoint;
use super::health::two_nodes;
use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;
use crate::port;

cases! {
    0:
        clients_that_say_nothing_shut_nobody_out,
        health_checks_over_tls;
}

fn clients_that_say_nothing_shut_nobody_out(bed: &mut Bed) -> Result<()> {
    let [n1, _] = two_nodes(bed, &[])?;
    // More than there is room for; half of them begin a request, and never end it.
    let mut idle = Vec::new();
    for number in 0..400 {
        let mut stream = n1.connect()?;
        if number % 2 == 0 {
            // It may have had to make room already.
            let _closed = stream.write_all(b"GET /primary HTTP/1.1\r\nX-Slow: ");
        }
        idle.push(stream);
        if number % 20 == 0 {
            ensure!(n1.status("/primary")? == 200, "shut out by {number} idle connections");
        }
    }
    ensure!(n1.status("/primary")? == 200);
    drop(idle);
    let long = format!("X-Long: {}", "x".repeat(20_000));
    let refused = n1.ask("GET /primary", &[&long]);
    ensure!(
        refused.is_err() || refused.is_ok_and(|reply| reply.status == 431),
        "a head without end was read"
    );
    let many: Vec<String> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    ensure!(n1.ask("GET /primary", &many)?.status == 431);
    for nonsense in ["GET", "GET /primary%", "\u{1}\u{2}", "GET http://elsewhere/primary", "OPTIONS *"] {
        // Refused or answered, but not with a hang; the next request tells whether it lives.
        let _whatever = n1.ask(nonsense, &[]);
        ensure!(n1.status("/primary")? == 200, "dead after {nonsense:?}");
    }
    bed.check_no_failover()
}

fn health_checks_over_tls(bed: &mut Bed) -> Result<()> {
    let endpoint = Endpoint { port: port::free()?, is_tls: true };
    let listen = format!("127.0.0.1:{}", endpoint.port);
    bed.add("n1", &["--ssl-self-signed", "--http-listen", &listen])?;
    bed.wait(&[("n1", "single")])?;
    wait_for("HTTPS", WITHIN, || Ok((endpoint.status("/primary")? == 200).then_some(())))?;
    ensure!(Endpoint::plain(endpoint.port).get("/primary").is_err(), "answered without TLS");
    bed.node("n1").autoctl(&["config", "set", "http.tls", "off"])?;
    let plain = Endpoint::plain(endpoint.port);
    wait_for("HTTP without TLS", WITHIN, || Ok((plain.status("/primary")? == 200).then_some(())))?;
    let refused = bed.node("n1").program("pg_autoctl", &["config", "set", "http.listen", "db.example:1"])?;
    ensure!(refused.code() != 0 && refused.stderr.contains("address to listen on"), "{}", refused.stderr);
    // An address that somebody else has is told, and taken once it is free; Postgres is not concerned.
    let taken = std::net::TcpListener::bind(("127.0.0.1", port::free()?))?;
    let other = Endpoint::plain(taken.local_addr()?.port());
    bed.node("n1").autoctl(&["config", "set", "http.listen", &format!("127.0.0.1:{}", other.port)])?;
    bed.node("n1").wait_said("could not serve HTTP on", WITHIN)?;
    drop(taken);
    wait_for("the address", Duration::from_secs(20), || Ok((other.status("/primary")? == 200).then_some(())))
}
