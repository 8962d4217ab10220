//! Host names: known to the hosts file alone, of a name server that is silent, with an address that does not answer, with
//! another address than before.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;
use crate::name_service::{NameService, Silence};

cases! {
    0:
        names_are_known_to_the_hosts_file_alone,
        a_name_server_that_swallows_all_questions_delays_no_failover,
        an_address_of_each_name_is_that_of_a_host_that_is_off,
        an_address_of_each_name_accepts_and_answers_nothing,
        a_name_gets_another_address,
        a_peer_has_a_name_that_nobody_knows_yet;
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where nobody is.
const OFF: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
/// A failover that no name holds up ends within this time, also on a busy machine; one question to a silent name server
/// takes ten seconds.
const PROMPT: Duration = Duration::from_secs(9);

const ALL: [(&str, &[Ipv4Addr]); 4] =
    [("monitor.test", &[HERE]), ("n1.test", &[HERE]), ("n2.test", &[HERE]), ("n3.test", &[HERE])];

/// The same with another address before that of the host.
const TWICE: [(&str, &[Ipv4Addr]); 4] = [
    ("monitor.test", &[OFF, HERE]),
    ("n1.test", &[OFF, HERE]),
    ("n2.test", &[OFF, HERE]),
    ("n3.test", &[OFF, HERE]),
];

/// A monitor that is known by its name, and asks this name service.
fn start_monitor(bed: &mut Bed, names: &NameService) -> Result<()> {
    bed.without_monitor()?;
    bed.monitor.mounts = names.mounts();
    bed.start_monitor(&["--hostname", "monitor.test", "--listen", "127.0.0.1"])
}

fn add(bed: &mut Bed, name: &str, names: &NameService, listen: &str) -> Result<()> {
    let monitor = bed.monitor_uri().replace("127.0.0.1", "monitor.test");
    let mounts = names.mounts();
    bed.prepare(name)?.mounts = mounts;
    let host = format!("{name}.test");
    bed.create(name, &["--hostname", &host, "--listen", listen, "--monitor", &monitor])
}

/// A monitor and two nodes, known by their names alone.
fn bring_up(bed: &mut Bed) -> Result<NameService> {
    let names = NameService::new(&bed.directory)?;
    names.say(&ALL)?;
    start_monitor(bed, &names)?;
    add(bed, "n1", &names, "127.0.0.1")?;
    bed.wait(&[("n1", "single")])?;
    bed.node("n1").sql(crate::harness::workload::TABLE_DDL)?;
    add(bed, "n2", &names, "127.0.0.1")?;
    bed.wait_whole()?;
    Ok(names)
}

/// The standby receives; `n1` is its primary.
fn wait_streaming(bed: &Bed, name: &str) -> Result<()> {
    wait_for(&format!("{name} to receive"), WITHIN, || {
        let count =
            bed.node(name).sql("select count(*) from pg_stat_wal_receiver where status = 'streaming'")?;
        ensure!(count == "1", "it does not");
        Ok(Some(()))
    })
}

fn names_are_known_to_the_hosts_file_alone(bed: &mut Bed) -> Result<()> {
    let names = bring_up(bed)?;
    let hosts = "select string_agg(nodehost, ' ' order by nodeid) from pgautofailover.node";
    let hosts = bed.monitor.sql_as("postgres", "pg_auto_failover", hosts)?;
    ensure!(hosts == "n1.test n2.test", "{hosts}");
    bed.fail_over()?;
    // A program of Postgres copies from there.
    add(bed, "n3", &names, "127.0.0.1")?;
    bed.wait_whole()?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_whole()
}

fn a_name_server_that_swallows_all_questions_delays_no_failover(bed: &mut Bed) -> Result<()> {
    let names = bring_up(bed)?;
    let writer = bed.writer()?;
    names.say(&[])?;
    // Longer than anybody may be silent; each lookup takes ten seconds by now.
    std::thread::sleep(Duration::from_secs(12));
    bed.wait_whole()?;
    bed.check_no_failover()?;
    bed.node("n1").kill_postmaster()?;
    let began = Instant::now();
    bed.node_mut("n1").kill_keeper()?;
    bed.wait_primary("n2")?;
    ensure!(began.elapsed() < PROMPT, "the failover took {:?}", began.elapsed());
    writer.wait_for_ack(WITHIN)?;
    names.say(&ALL)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    // A hand-over, while nobody knows a name.
    names.say(&[])?;
    let began = Instant::now();
    bed.monitor.autoctl(&["perform", "switchover"])?;
    ensure!(began.elapsed() < PROMPT, "the switchover took {:?}", began.elapsed());
    bed.wait_primary("n1")?;
    bed.wait_whole()?;
    bed.verify("n1", &[writer.stop()])
}

/// Every name has two addresses from now on, and one of them is of this kind.
fn check_second_address(bed: &mut Bed, silence: fn(Ipv4Addr, u16) -> Result<Silence>) -> Result<()> {
    let names = bring_up(bed)?;
    let mut silences = vec![silence(OFF, bed.monitor.port)?];
    for name in ["n1", "n2"] {
        silences.push(silence(OFF, bed.node(name).port)?);
    }
    names.say(&TWICE)?;
    // Nobody is said to be unhealthy meanwhile, and who connects anew finds the way.
    for name in ["n1", "n2"] {
        bed.node_mut(name).kill_keeper()?;
        bed.node_mut(name).run()?;
    }
    bed.wait_whole()?;
    bed.check_no_failover()?;
    bed.node("n2").sql("select pg_terminate_backend(pid) from pg_stat_wal_receiver")?;
    let began = Instant::now();
    wait_streaming(bed, "n2")?;
    ensure!(began.elapsed() < Duration::from_secs(20), "connecting took {:?}", began.elapsed());
    bed.fail_over()?;
    add(bed, "n3", &names, "127.0.0.1")?;
    bed.wait_whole()?;
    wait_streaming(bed, "n3")?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_whole()
}

fn an_address_of_each_name_is_that_of_a_host_that_is_off(bed: &mut Bed) -> Result<()> {
    check_second_address(bed, Silence::at)
}

fn an_address_of_each_name_accepts_and_answers_nothing(bed: &mut Bed) -> Result<()> {
    check_second_address(bed, Silence::accepting_at)
}

fn a_name_gets_another_address(bed: &mut Bed) -> Result<()> {
    let names = bring_up(bed)?;
    wait_for("failover to be paused", WITHIN, || bed.monitor.autoctl(&["pause"]).map(Some))?;
    // The host of n1 goes, and comes back elsewhere.
    bed.node_mut("n1").kill_both()?;
    names.say(&[("monitor.test", &[HERE]), ("n1.test", &[ELSEWHERE]), ("n2.test", &[HERE])])?;
    bed.node("n1").autoctl(&["config", "set", "postgresql.listen_addresses", "127.0.0.2"])?;
    let _nobody = Silence::at(HERE, bed.node("n1").port)?;
    bed.node_mut("n1").address = ELSEWHERE;
    bed.node_mut("n1").run()?;
    wait_for("n2 to receive from there", WITHIN, || {
        let from =
            bed.node("n2").sql("select sender_host from pg_stat_wal_receiver where status = 'streaming'")?;
        ensure!(from == "n1.test", "it receives from {from:?}");
        Ok(Some(()))
    })?;
    bed.node("n2").wait_said("is tried at [127.0.0.2] from now on", WITHIN)?;
    bed.wait_whole()?;
    bed.check_no_failover()
}

fn a_peer_has_a_name_that_nobody_knows_yet(bed: &mut Bed) -> Result<()> {
    let names = NameService::new(&bed.directory)?;
    names.say(&ALL[..2])?;
    start_monitor(bed, &names)?;
    add(bed, "n1", &names, "127.0.0.1")?;
    bed.wait(&[("n1", "single")])?;
    // Nobody is let in but by our entries.
    let hba = bed.node("n1").pgdata().join("pg_hba.conf");
    let content = std::fs::read_to_string(&hba)?;
    let without: Vec<&str> =
        content.lines().filter(|line| !line.starts_with("host ") || line.contains('"')).collect();
    std::fs::write(&hba, without.join("\n") + "\n")?;
    bed.node("n1").reload()?;
    // The new node knows its own name before the others do.
    let own = bed.directory.join("own");
    std::fs::create_dir(&own)?;
    let own = NameService::new(&own)?;
    own.say(&ALL)?;
    add(bed, "n2", &own, "127.0.0.1")?;
    bed.node("n1").wait_said("\"n2.test\" does not resolve", WITHIN)?;
    names.say(&ALL)?;
    bed.wait_whole()?;
    let entries = std::fs::read_to_string(&hba)?;
    ensure!(entries.contains("# n2.test"), "{entries}");
    bed.check_no_failover()
}
