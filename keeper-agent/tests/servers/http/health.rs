//! Health checks: true also while something hangs, and quick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;

use super::client::Endpoint;
use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{signal, wait_for, workload::TABLE_DDL};
use crate::node::Node;
use crate::port;

cases! {
    0:
        health_checks_say_what_a_node_is,
        nobody_else_is_primary_during_switchovers_and_losses,
        health_checks_are_true_while_the_keeper_is_stuck,
        health_checks_are_true_while_postgres_hangs,
        health_checks_go_on_while_the_monitor_hangs;
}

/// What a health check may take; most take a tenth of it.
const QUICK: Duration = Duration::from_millis(10);
/// So many of a hundred may be slower, on a machine that does other things.
const SLOW_PERCENT: usize = 50;

/// Two nodes that serve HTTP.
pub(super) fn two_nodes(bed: &mut Bed, options: &[&str]) -> Result<[Endpoint; 2]> {
    let mut endpoints = [Endpoint::plain(0); 2];
    for (endpoint, name) in endpoints.iter_mut().zip(["n1", "n2"]) {
        *endpoint = add(bed, name, options)?;
    }
    bed.wait_whole()?;
    for endpoint in endpoints {
        wait_for("HTTP", WITHIN, || Ok((endpoint.status("/readiness")? == 200).then_some(())))?;
    }
    Ok(endpoints)
}

/// One more node that serves HTTP; the first is waited for.
pub(super) fn add(bed: &mut Bed, name: &str, options: &[&str]) -> Result<Endpoint> {
    let endpoint = Endpoint::plain(port::free()?);
    let listen = format!("127.0.0.1:{}", endpoint.port);
    let is_first = bed.nodes.iter().all(|node| node.name == name);
    let args = [&["--http-listen", &listen][..], options].concat();
    if bed.nodes.iter().any(|node| node.name == name) {
        bed.create(name, &args)?;
    } else {
        bed.add(name, &args)?;
    }
    if is_first {
        bed.wait(&[(name, "single")])?;
        bed.node(name).sql(TABLE_DDL)?;
    }
    Ok(endpoint)
}

fn check(endpoint: Endpoint, expected: &[(&str, u16)]) -> Result<()> {
    for (path, status) in expected {
        let reply = endpoint.get(path)?;
        ensure!(reply.status == *status, "{path}: {} {}", reply.status, reply.body);
    }
    Ok(())
}

fn health_checks_say_what_a_node_is(bed: &mut Bed) -> Result<()> {
    let [n1, n2] = two_nodes(bed, &[])?;
    for path in ["/", "/primary", "/read-write", "/leader", "/master"] {
        check(n1, &[(path, 200)])?;
        check(n2, &[(path, 503)])?;
    }
    for path in ["/replica", "/synchronous", "/sync", "/replica?lag=0", "/replica?lag=16MB"] {
        check(n1, &[(path, 503)])?;
        wait_for(path, WITHIN, || Ok((n2.status(path)? == 200).then_some(())))?;
    }
    for path in ["/read-only", "/health", "/liveness", "/readiness"] {
        check(n1, &[(path, 200)])?;
        check(n2, &[(path, 200)])?;
    }
    check(n1, &[("/asynchronous", 503), ("/async", 503), ("/standby-leader", 503)])?;
    check(n2, &[("/asynchronous", 503), ("/standby-leader", 503), ("/replica?lag=much", 400)])?;
    check(n2, &[("/nothing", 404), ("/primary/", 404)])?;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let reply = n1.ask(&format!("{method} /primary"), &[])?;
        ensure!(reply.status == 405 && reply.head.contains("GET, HEAD, OPTIONS"), "{method}: {}", reply.head);
    }
    for method in ["HEAD", "OPTIONS"] {
        let reply = n1.ask(&format!("{method} /primary"), &[])?;
        ensure!(reply.status == 200 && reply.body.is_empty(), "{method}: {} {}", reply.head, reply.body);
        ensure!(n2.ask(&format!("{method} /primary"), &[])?.status == 503);
    }
    let body = n2.get("/replica")?.json()?;
    let shown = |pointer: &str| body.pointer(pointer).cloned().with_context(|| format!("{pointer}: {body}"));
    ensure!(
        shown("/role")? == "replica" && shown("/state")? == "secondary" && shown("/goal")? == "secondary"
    );
    ensure!(shown("/node/name")? == "n2" && shown("/formation")? == "default" && shown("/group")? == 0);
    ensure!(
        shown("/timeline")? == 1
            && shown("/is_synchronous")? == true
            && shown("/monitor/is_answering")? == true
    );
    ensure!(shown("/lsn")?.as_str().is_some_and(|lsn| lsn.contains('/')), "{body}");
    ensure!(shown("/lag/bytes")?.is_u64() && shown("/version")?.is_string(), "{body}");
    bed.node("n2").autoctl(&["enable", "maintenance"])?;
    wait_for("maintenance", WITHIN, || Ok((n2.status("/replica")? == 503).then_some(())))?;
    check(n2, &[("/readiness", 503), ("/liveness", 200)])?;
    let why = n2.get("/replica")?.json()?;
    ensure!(why["why_not"].as_str().is_some_and(|why| !why.is_empty()), "{why}");
    check_switching_off(bed, n1)
}

/// The configuration is followed as it changes.
fn check_switching_off(bed: &Bed, n1: Endpoint) -> Result<()> {
    let config = |name: &str, value: &str| bed.node("n1").autoctl(&["config", "set", name, value]);
    config("http.listen", "")?;
    wait_for("no HTTP", WITHIN, || Ok(n1.connect().is_err().then_some(())))?;
    let moved = Endpoint::plain(port::free()?);
    config("http.listen", &format!("localhost:{}", moved.port))?;
    wait_for("HTTP elsewhere", WITHIN, || Ok((moved.status("/primary")? == 200).then_some(())))?;
    config("http.auth", "bearer")?;
    wait_for("a token to be needed", WITHIN, || Ok((moved.status("/metrics")? == 401).then_some(())))?;
    check(moved, &[("/primary", 200)])
}

/// Asks both nodes again and again, and notes when which was primary.
struct Watch {
    is_over: Arc<AtomicBool>,
    observers: Vec<thread::JoinHandle<Vec<(Instant, Instant)>>>,
}

impl Watch {
    fn start(endpoints: &[Endpoint]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let observe = |endpoint: Endpoint| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    // The keeper may be down for a moment.
                    if endpoint.status("/primary").is_ok_and(|status| status == 200) {
                        seen.push((asked, Instant::now()));
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                seen
            })
        };
        let observers = endpoints.iter().map(|endpoint| observe(*endpoint)).collect();
        Self { is_over, observers }
    }

    /// Somebody was primary, and never two at a time: whatever one said lies between what another said before and after.
    fn check(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for (node, observer) in self.observers.into_iter().enumerate() {
            let seen = observer.join().map_err(|_| anyhow!("an observer panicked"))?;
            ensure!(!seen.is_empty(), "node {node} never was primary");
            all.extend(seen.into_iter().map(|(asked, told)| (asked, told, node)));
        }
        all.sort();
        for pair in all.windows(3) {
            let [(_, first_told, a), (asked, _, b), (_, _, c)] = pair else { continue };
            // Answers that overlap in time are no proof.
            let is_between = a == c && a != b && asked > first_told;
            ensure!(!is_between, "node {b} said to be primary between two answers of node {a}");
        }
        Ok(())
    }
}

fn nobody_else_is_primary_during_switchovers_and_losses(bed: &mut Bed) -> Result<()> {
    let endpoints = two_nodes(bed, &[])?;
    let writer = bed.writer()?;
    let watch = Watch::start(&endpoints);
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    bed.node("n2").kill_postmaster()?;
    bed.wait_primary("n1")?;
    bed.wait_whole()?;
    writer.wait_for_ack(WITHIN)?;
    watch.check()?;
    bed.verify("n1", &[writer.stop()])
}

/// How often answers are quick.
fn check_quick(endpoint: Endpoint, path: &str) -> Result<()> {
    let mut slow = Vec::new();
    for _ in 0..100 {
        let reply = endpoint.get(path)?;
        if reply.took > QUICK {
            slow.push(reply.took);
        }
    }
    ensure!(
        slow.len() <= SLOW_PERCENT,
        "{path}: {} of 100 answers took longer than {QUICK:?}: {slow:?}",
        slow.len()
    );
    Ok(())
}

fn health_checks_are_true_while_the_keeper_is_stuck(bed: &mut Bed) -> Result<()> {
    bed.prepare("n1")?.set_environment("PGAF_TEST_HOLD_KEEPER", "hold");
    let [n1, n2] = two_nodes(bed, &[])?;
    let hold = bed.node("n1").directory.join("hold");
    std::fs::write(&hold, "")?;
    let held = Instant::now();
    wait_for("the primary's authority to end", WITHIN, || Ok((n1.status("/primary")? == 503).then_some(())))?;
    let after = held.elapsed();
    // network_partition_timeout; the dead man's switch waits 0.3 s more.
    ensure!(after < Duration::from_millis(4300), "still primary {after:?} after its keeper was stuck");
    ensure!(n2.status("/primary")? == 503, "two primaries");
    check_quick(n1, "/primary")?;
    wait_for("the keeper to be told stuck", WITHIN, || Ok((n1.status("/liveness")? == 503).then_some(())))?;
    let body = n1.get("/liveness")?.json()?;
    ensure!(body["keeper"]["is_stuck"] == true, "{body}");
    wait_for("the standby to take over", WITHIN, || Ok((n2.status("/primary")? == 200).then_some(())))?;
    ensure!(n1.status("/primary")? == 503 && n1.status("/health")? == 503);
    std::fs::remove_file(&hold)?;
    bed.wait_whole()?;
    wait_for("the former primary to serve reads", WITHIN, || {
        Ok((n1.status("/replica")? == 200).then_some(()))
    })?;
    ensure!(n1.status("/liveness")? == 200);
    Ok(())
}

/// All processes of the server, stopped or going on.
fn freeze(node: &Node, how: Signal) -> Result<()> {
    let postmaster = node.postmaster_pid()?;
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
    for pid in children.split_whitespace().chain([postmaster.to_string().as_str()]) {
        // It may have ended by itself.
        let _gone = signal(pid.parse()?, how);
    }
    Ok(())
}

fn health_checks_are_true_while_postgres_hangs(bed: &mut Bed) -> Result<()> {
    let [n1, n2] = two_nodes(bed, &[])?;
    // A hung primary is ended after some seconds: a standby that hangs is left alone for longer.
    freeze(bed.node("n2"), Signal::SIGSTOP)?;
    wait_for("the hung standby to be no replica", WITHIN, || {
        Ok((n2.status("/replica")? == 503).then_some(()))
    })?;
    check_quick(n2, "/replica")?;
    let body = n2.get("/health")?.json()?;
    ensure!(body["postgres"] == "unresponsive", "{body}");
    ensure!(n2.status("/liveness")? == 200 && n1.status("/primary")? == 200);
    freeze(bed.node("n2"), Signal::SIGCONT)?;
    wait_for("the standby to be a replica again", WITHIN, || {
        Ok((n2.status("/replica")? == 200).then_some(()))
    })?;
    bed.wait_whole()?;
    freeze(bed.node("n1"), Signal::SIGSTOP)?;
    wait_for("the hung primary to be none", WITHIN, || Ok((n1.status("/primary")? == 503).then_some(())))?;
    check_quick(n1, "/primary")?;
    // The hung server is ended; who goes on is the monitor's business.
    wait_for("one primary", WITHIN, || {
        let are_primaries = (n1.status("/primary")? == 200, n2.status("/primary")? == 200);
        Ok((are_primaries.0 != are_primaries.1).then_some(()))
    })
}

fn health_checks_go_on_while_the_monitor_hangs(bed: &mut Bed) -> Result<()> {
    let [n1, n2] = two_nodes(bed, &[])?;
    freeze(&bed.monitor, Signal::SIGSTOP)?;
    let told = |endpoint: Endpoint| -> Result<bool> {
        Ok(endpoint.get("/")?.json()?["monitor"]["is_answering"] == false)
    };
    for endpoint in [n1, n2] {
        wait_for("the silence of the monitor to be told", WITHIN, || Ok(told(endpoint)?.then_some(())))?;
    }
    let until = Instant::now() + Duration::from_secs(6);
    // Longer than network_partition_timeout: the standby confirms the primary.
    while Instant::now() < until {
        ensure!(n1.status("/primary")? == 200 && n2.status("/replica")? == 200);
        thread::sleep(Duration::from_millis(100));
    }
    check_quick(n1, "/primary")?;
    // It streams, so how far it is behind is known.
    ensure!(n2.status("/replica?lag=1MB")? == 200);
    freeze(&bed.monitor, Signal::SIGCONT)
}
