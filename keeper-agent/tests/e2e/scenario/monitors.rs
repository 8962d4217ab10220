//! Three monitors, and what is lost of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Cluster, Host, Setup, wait_for};

scenarios! {
    three_monitors:
        three_monitors_become_one,
        leading_monitor_killed_and_another_leads,
        leading_monitor_cut_off_and_another_leads,
        leading_monitor_frozen_and_another_leads,
        leading_monitor_and_primary_lost_at_once,
        following_monitor_lost_and_nobody_notices,
        two_of_three_monitors_lost_and_one_comes_back,
        cluster_cut_with_monitor_and_primary_on_the_small_side,
        all_three_monitors_restarted_at_once,
        a_monitor_with_a_damaged_log_is_refused,
        lost_monitor_replaced_by_two_commands,
        all_three_monitors_replaced_one_after_the_other,
        another_monitor_leads_on_command;
    two_monitors_and_a_witness:
        leading_monitor_lost_beside_a_witness;
}

/// Longer than any timeout by which a node could react to the absence of monitors.
const AWAY: Duration = Duration::from_secs(12);
/// The longest that a writer may wait when only monitors are lost.
const UNNOTICED: Duration = Duration::from_millis(1500);

fn three_monitors() -> Setup {
    let environment = vec![("PG_AUTOCTL_DEBUG".to_owned(), "1".to_owned())];
    Setup { has_three_monitors: true, environment, ..Setup::nodes(2) }
}

fn two_monitors_and_a_witness() -> Setup {
    Setup { has_witness: true, ..three_monitors() }
}

fn leader(cluster: &Cluster) -> Result<String> {
    Ok(cluster.leading_monitor().context("no monitor leads")?.name.clone())
}

fn follower(cluster: &Cluster) -> Result<String> {
    let leader = leader(cluster)?;
    let other = cluster.monitors().find(|host| host.name != leader);
    Ok(other.context("there is one monitor only")?.name.clone())
}

fn leads(host: &Host) -> bool {
    host.psql("pg_auto_failover", "select pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
}

/// Waits until a monitor other than that one leads.
fn wait_another_leads(cluster: &Cluster, lost: &str) -> Result<Duration> {
    let since = Instant::now();
    let another = || cluster.monitors().any(|host| host.name != lost && leads(host));
    wait_for("another monitor to lead", TAKEOVER, || Ok(another().then_some(())))?;
    cluster.forget_watch();
    Ok(since.elapsed())
}

/// The nodes are what they were, and nobody was promoted.
fn check_undisturbed(cluster: &Cluster) -> Result<()> {
    cluster.wait_states(&[("n1", "primary"), ("n2", "secondary")], WHOLE)?;
    ensure!(cluster.rows()?.iter().all(|row| row.timeline == 1), "a node was promoted");
    Ok(())
}

/// Automation is there: the primary is lost, and the standby is promoted.
fn check_failover(cluster: &mut Cluster) -> Result<()> {
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)
}

fn three_monitors_become_one(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.monitor.autoctl(&["perform", "failover"])?.success()?;
    cluster.wait_primary_is("n2", SOON)?;
    cluster.wait_whole(WHOLE)?;
    let shown = cluster.monitor.autoctl(&["show", "monitors"])?.success()?;
    let count = |word: &str| shown.lines().filter(|line| line.contains(word)).count();
    ensure!((count("leads"), count("follows"), count("secondary")) == (1, 2, 2), "{shown}");
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_killed_and_another_leads(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let since = Instant::now();
    cluster.monitor_named_mut(&lost)?.kill_everything()?;
    let took = wait_another_leads(cluster, &lost)?;
    println!("killed: another monitor leads after {took:?}");
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only a monitor was away");
    check_failover(cluster)?;
    // The lost one comes back, and follows.
    cluster.monitor_named_mut(&lost)?.run()?;
    cluster.wait_three_monitors(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_cut_off_and_another_leads(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let since = Instant::now();
    cluster.monitor_named(&lost)?.link.cut()?;
    let took = wait_another_leads(cluster, &lost)?;
    println!("cut off: another monitor leads after {took:?}");
    wait_for("the old one to be fenced", SOON, || Ok((!leads(cluster.monitor_named(&lost)?)).then_some(())))?;
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only a monitor was away");
    cluster.monitor_named(&lost)?.link.restore()?;
    cluster.wait_three_monitors(WHOLE)?;
    check_failover(cluster)?;
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_frozen_and_another_leads(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let since = Instant::now();
    cluster.monitor_named(&lost)?.freeze()?;
    let others: Vec<String> =
        cluster.monitors().map(|host| host.name.clone()).filter(|name| *name != lost).collect();
    let another = |cluster: &Cluster| others.iter().any(|name| cluster.monitor_named(name).is_ok_and(leads));
    wait_for("another monitor to lead", TAKEOVER, || Ok(another(cluster).then_some(())))?;
    println!("frozen: another monitor leads after {:?}", since.elapsed());
    cluster.monitor_named(&lost)?.thaw()?;
    cluster.wait_three_monitors(WHOLE)?;
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only a monitor was away");
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_and_primary_lost_at_once(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let since = Instant::now();
    cluster.monitor_named_mut(&lost)?.kill_everything()?;
    cluster.host_mut("n1")?.kill_everything()?;
    wait_another_leads(cluster, &lost)?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    let pause = writer.pause_since(since, TAKEOVER)?;
    println!("monitor and primary killed: writers paused {pause:?}");
    cluster.host_mut("n1")?.run()?;
    cluster.monitor_named_mut(&lost)?.run()?;
    cluster.wait_three_monitors(WHOLE)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn following_monitor_lost_and_nobody_notices(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let (leading, lost) = (leader(cluster)?, follower(cluster)?);
    let since = Instant::now();
    cluster.monitor_named_mut(&lost)?.kill_everything()?;
    check_failover(cluster)?;
    ensure!(leader(cluster)? == leading, "another monitor leads now");
    let shown = cluster.monitor_named(&leading)?.autoctl(&["show", "monitors"])?.success()?;
    ensure!(shown.lines().any(|line| line.contains(&lost) && line.contains("silent")), "{shown}");
    cluster.monitor_named_mut(&lost)?.run()?;
    cluster.wait_three_monitors(WHOLE)?;
    ensure!(since.elapsed() < WHOLE * 3, "it took too long");
    cluster.verify(&[writer.stop()])
}

fn two_of_three_monitors_lost_and_one_comes_back(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let leading = leader(cluster)?;
    let others: Vec<String> =
        cluster.monitors().map(|host| host.name.clone()).filter(|name| *name != leading).collect();
    for name in &others {
        cluster.monitor_named_mut(name)?.kill_everything()?;
    }
    let since = Instant::now();
    wait_for("commits for as long as there is no majority", AWAY * 2, || {
        writer.wait_for_ack(SOON)?;
        Ok((since.elapsed() > AWAY).then_some(()))
    })?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only monitors were away");
    let timeline = cluster.host("n1")?.timeline()?;
    ensure!(timeline == 1, "n1 is on timeline {timeline}: somebody was promoted without a majority");
    let shown = cluster.monitor_named(&leading)?.autoctl(&["show", "monitors"])?;
    ensure!(shown.stderr.contains("no majority"), "{}{}", shown.stdout, shown.stderr);
    let back = others.first().context("no other")?;
    cluster.monitor_named_mut(back)?.run()?;
    wait_for("a monitor that leads again", WHOLE, || Ok(cluster.leading_monitor().map(|_| ())))?;
    cluster.forget_watch();
    check_undisturbed(cluster)?;
    check_failover(cluster)?;
    for name in others.iter().skip(1) {
        cluster.monitor_named_mut(name)?.run()?;
    }
    cluster.wait_three_monitors(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn cluster_cut_with_monitor_and_primary_on_the_small_side(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let on_the_host = cluster.local_writer("n1")?;
    let leading = leader(cluster)?;
    let mut rest: Vec<std::net::Ipv4Addr> =
        cluster.monitors().filter(|host| host.name != leading).map(Host::address).collect();
    rest.push(cluster.host("n2")?.address());
    rest.push(cluster.client_address());
    let small = |cluster: &Cluster, act: fn(&Host, std::net::Ipv4Addr) -> Result<()>| -> Result<()> {
        for host in [cluster.monitor_named(&leading)?, cluster.host("n1")?] {
            rest.iter().try_for_each(|address| act(host, *address))?;
        }
        Ok(())
    };
    small(cluster, |host, address| host.link.block(address))?;
    let since = Instant::now();
    wait_another_leads(cluster, &leading)?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(TAKEOVER)?;
    println!("cut in two: writers paused {:?}", writer.pause_since(since, SOON)?);
    small(cluster, |host, address| host.link.unblock(address))?;
    cluster.wait_three_monitors(WHOLE)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop(), on_the_host.stop()])
}

fn all_three_monitors_restarted_at_once(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let postmasters = [cluster.host("n1")?.postmaster_pid()?, cluster.host("n2")?.postmaster_pid()?];
    let since = Instant::now();
    let names = ["m1", "m2", "m3"];
    for name in names {
        cluster.monitor_named_mut(name)?.kill_everything()?;
    }
    for name in names {
        cluster.monitor_named_mut(name)?.run()?;
    }
    cluster.wait_three_monitors(WHOLE)?;
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only monitors were away");
    // One after the other, as for an upgrade.
    for name in names {
        cluster.monitor_named(name)?.signal_keeper(Signal::SIGTERM)?;
        cluster.monitor_named_mut(name)?.keeper_end(TAKEOVER)?;
        cluster.monitor_named_mut(name)?.run()?;
        cluster.wait_three_monitors(WHOLE)?;
    }
    check_undisturbed(cluster)?;
    let now = [cluster.host("n1")?.postmaster_pid()?, cluster.host("n2")?.postmaster_pid()?];
    ensure!(now == postmasters, "a node was restarted");
    cluster.verify(&[writer.stop()])
}

fn a_monitor_with_a_damaged_log_is_refused(cluster: &mut Cluster) -> Result<()> {
    let name = follower(cluster)?;
    cluster.monitor_named_mut(&name)?.kill_everything()?;
    let host = cluster.monitor_named(&name)?;
    let log = host.shell("find home -path '*monitors/log'")?;
    let log = host.directory.join(log.trim());
    std::fs::write(&log, vec![7; 8192]).with_context(|| log.display().to_string())?;
    let ended = host.autoctl(&["run"])?;
    ensure!(ended.code() == 3, "{}", ended.status);
    ensure!(ended.stderr.contains("cannot be used"), "{}", ended.stderr);
    check_undisturbed(cluster)?;
    check_failover(cluster)
}

/// Waits until the nodes have written down that these monitors are the ones there are.
fn wait_known(cluster: &Cluster, names: &[&str]) -> Result<()> {
    let hosts: Vec<String> = names
        .iter()
        .map(|name| Ok(format!("{}:5432", cluster.monitor_named(name)?.address())))
        .collect::<Result<_>>()?;
    let hosts = format!("@{}/", hosts.join(","));
    wait_for("the nodes to know the monitors", SOON, || {
        let mut all = true;
        for node in &cluster.nodes {
            let known = node.autoctl(&["config", "get", "pg_autoctl.monitor"])?.success()?;
            all &= known.contains(&hosts);
        }
        Ok(all.then_some(()))
    })
}

fn replace(cluster: &mut Cluster, lost: &str, new: &str) -> Result<()> {
    let through = cluster.monitors().map(|host| host.name.clone()).find(|name| {
        name != lost
            && cluster.monitor_named(name).is_ok_and(|host| host.psql("postgres", "select 1").is_ok())
    });
    let through = through.context("no monitor is left")?;
    cluster.lose_monitor(lost)?;
    let dropped = || cluster.monitor_named(&through)?.autoctl(&["drop", "monitor", "--name", lost]);
    // The one that led may be the one that is lost: another one leads first.
    wait_for("the lost monitor to be dropped", TAKEOVER, || Ok(dropped()?.success().ok()))?;
    cluster.join_monitor(new, &through, &[])?;
    cluster.wait_three_monitors(WHOLE)
}

fn lost_monitor_replaced_by_two_commands(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let (leading, lost) = (leader(cluster)?, follower(cluster)?);
    let refused = cluster.monitor_named(&leading)?.autoctl(&["drop", "monitor", "--name", "m9"])?;
    ensure!(refused.stderr.contains("no monitor is called"), "{}", refused.stderr);
    replace(cluster, &lost, "m4")?;
    let left: Vec<&str> = ["m1", "m2", "m3", "m4"].into_iter().filter(|name| *name != lost).collect();
    wait_known(cluster, &left)?;
    let shown = cluster.monitor_named("m4")?.autoctl(&["show", "monitors"])?.success()?;
    let count = |word: &str| shown.lines().filter(|line| line.contains(word)).count();
    ensure!((count("leads"), count("follows"), count("secondary")) == (1, 2, 2), "{shown}");
    ensure!(!shown.contains(&lost), "{shown}");
    cluster.monitor_named_mut(&leading)?.kill_everything()?;
    wait_another_leads(cluster, &leading)?;
    check_undisturbed(cluster)?;
    check_failover(cluster)?;
    cluster.verify(&[writer.stop()])
}

fn all_three_monitors_replaced_one_after_the_other(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let since = Instant::now();
    for (lost, new) in [("m1", "m4"), ("m2", "m5"), ("m3", "m6")] {
        replace(cluster, lost, new)?;
    }
    wait_known(cluster, &["m4", "m5", "m6"])?;
    let uri = cluster.monitor_named("m5")?.autoctl(&["show", "uri", "--monitor"])?.success()?;
    for name in ["m4", "m5", "m6"] {
        let address = cluster.monitor_named(name)?.address().to_string();
        ensure!(uri.contains(&address), "{name} at {address} is not in {uri}");
    }
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while only monitors were replaced");
    check_failover(cluster)?;
    cluster.verify(&[writer.stop()])
}

fn another_monitor_leads_on_command(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let (before, to) = (leader(cluster)?, follower(cluster)?);
    let since = Instant::now();
    cluster.monitor_named(&before)?.autoctl(&["perform", "monitor-switchover", "--name", &to])?.success()?;
    println!("another monitor leads on command after {:?}", since.elapsed());
    cluster.wait_three_monitors(WHOLE)?;
    ensure!(leader(cluster)? == to, "{} leads", leader(cluster)?);
    check_undisturbed(cluster)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < UNNOTICED, "{pause:?} without a commit while another monitor took over");
    check_failover(cluster)?;
    // One that is in service is dropped as well: its Postgres is stopped, and the two others go on.
    cluster.monitor_named(&before)?.autoctl(&["drop", "monitor", "--name", &to])?.success()?;
    let ended = cluster.monitor_named_mut(&to)?.keeper_end(SOON)?;
    ensure!(ended.code() == Some(121), "{ended}");
    let left = cluster.monitor_named(&before)?.autoctl(&["drop", "monitor", "--name", &before])?;
    ensure!(left.stderr.contains("create another one first"), "{}", left.stderr);
    wait_for("a monitor that leads", TAKEOVER, || Ok(cluster.leading_monitor().map(|_| ())))?;
    cluster.forget_watch();
    cluster.verify(&[writer.stop()])
}

fn leading_monitor_lost_beside_a_witness(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    let lost = leader(cluster)?;
    let shown = cluster.monitor_named("m3")?.autoctl(&["show", "monitors"])?.success()?;
    ensure!(shown.lines().filter(|line| line.contains("witness")).count() == 1, "{shown}");
    let postgres = cluster.monitor_named("m3")?.process("postgres");
    ensure!(postgres.is_none(), "the witness has a Postgres");
    cluster.monitor_named_mut(&lost)?.kill_everything()?;
    let took = wait_another_leads(cluster, &lost)?;
    println!("killed, beside a witness: another monitor leads after {took:?}");
    check_undisturbed(cluster)?;
    cluster.monitor_named_mut(&lost)?.run()?;
    cluster.wait_three_monitors(WHOLE)?;
    // The witness is lost, and nobody notices.
    cluster.monitor_named_mut("m3")?.kill_everything()?;
    check_failover(cluster)?;
    cluster.monitor_named_mut("m3")?.run()?;
    cluster.verify(&[writer.stop()])
}
