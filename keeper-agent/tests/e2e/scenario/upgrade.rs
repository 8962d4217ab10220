//! From pg_auto_failover 2.x to this build, in place, while clients write.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::citus::well_again;
use super::{SOON, TAKEOVER, WHOLE, one_node, scenarios};
use crate::harness::{Cluster, Loss, Patience, Setup, Writer, is_process, signal, wait_for};

scenarios! {
    older_two_nodes:
        two_nodes_of_2x_are_upgraded_without_a_pause,
        the_six_losses_of_two_nodes_of_2x_that_were_upgraded,
        a_monitor_of_2x_is_taken_back_until_a_keeper_is_upgraded,
        an_update_of_2x_that_fails_leaves_it_usable,
        a_primary_of_2x_is_succeeded_by_a_standby_of_this_build,
        a_primary_of_this_build_is_succeeded_by_a_standby_of_2x;
    one_node:
        run_updates_to_a_later_version_and_refuses_one_that_it_does_not_know;
    older_three_nodes:
        three_nodes_of_2x_are_upgraded_without_a_pause;
    older_formation:
        citus_formation_of_2x_is_upgraded;
}

fn older_two_nodes() -> Setup {
    Setup { is_older: true, ..Setup::nodes(2) }
}

fn older_three_nodes() -> Setup {
    Setup { is_older: true, ..Setup::nodes(3) }
}

fn older_formation() -> Setup {
    Setup { is_older: true, ..Setup::citus(1).with_or_without_shards() }
}

/// The longest time without a commit during the whole upgrade.
const PAUSE: Duration = Duration::from_secs(1);
/// A primary of 2.x is waited for as long as 2.x does.
const TAKEOVER_FROM_2X: Duration = Duration::from_secs(120);

fn two_nodes_of_2x_are_upgraded_without_a_pause(cluster: &mut Cluster) -> Result<()> {
    is_upgraded_without_a_pause(cluster, &["n2", "n1"])
}

fn three_nodes_of_2x_are_upgraded_without_a_pause(cluster: &mut Cluster) -> Result<()> {
    is_upgraded_without_a_pause(cluster, &["n1", "n3", "n2"])
}

/// Packages, the monitor, then one keeper after the other: no server is restarted, nobody takes over, nothing is lost; and
/// then the group loses its primary as one that was made by this build.
fn is_upgraded_without_a_pause(cluster: &mut Cluster, order: &[&str]) -> Result<()> {
    let from = version(cluster)?;
    let primary = cluster.primary()?;
    let servers = postmasters(cluster)?;
    let events = count(cluster, "select count(*) from pgautofailover.event")?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.install_ours()?;
    the_older_monitor_goes_on(cluster)?;
    upgrade_monitor(cluster)?;
    ensure!(count(cluster, "select count(*) from pgautofailover.event")? >= events, "events are gone");
    has_all_of_a_new_monitor(cluster)?;
    older_keepers_are_served(cluster, order)?;
    for name in order {
        upgrade_keeper(cluster, name)?;
        cluster.wait_whole(WHOLE)?;
    }
    let pause = writer.pause_since(since, SOON)?;
    eprintln!("upgrade of {} nodes from {from}: {:.2} s without a commit", order.len(), pause.as_secs_f64());
    ensure!(postmasters(cluster)? == servers, "a server was restarted");
    ensure!(cluster.primary()? == primary, "another node is the primary");
    ensure!(pause < PAUSE, "{pause:?} without a commit");
    loses_its_primary(cluster, &writer)?;
    cluster.verify(&[writer.stop()])
}

/// What `make bench` measures on a fresh installation; here it is told, and must be far from what 2.x needs.
fn the_six_losses_of_two_nodes_of_2x_that_were_upgraded(cluster: &mut Cluster) -> Result<()> {
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;
    for name in ["n2", "n1"] {
        upgrade_keeper(cluster, name)?;
        cluster.wait_whole(WHOLE)?;
    }
    let writer = cluster.writer()?;
    for loss in Loss::ALL {
        let primary = cluster.primary()?;
        let since = Instant::now();
        loss.strike(cluster, &primary)?;
        cluster.wait_another_primary(&primary, TAKEOVER)?;
        let pause = writer.pause_since(since, TAKEOVER)?;
        eprintln!("after an upgrade, {}: {:.2} s without a commit", loss.name(), pause.as_secs_f64());
        ensure!(pause < longest_pause(loss), "{pause:?} without a commit: {}", loss.description());
        loss.heal(cluster, &primary)?;
        cluster.wait_whole(WHOLE).with_context(|| loss.description())?;
    }
    cluster.verify(&[writer.stop()])
}

/// On a machine that is busy with other tests; 2.x needs eleven seconds without its server, and fifty without its host.
const fn longest_pause(loss: Loss) -> Duration {
    match loss {
        Loss::Switchover | Loss::PostmasterKilled | Loss::ControlFileLost => Duration::from_secs(5),
        Loss::HostKilled | Loss::HostCut | Loss::HostFrozen => Duration::from_secs(20),
    }
}

/// As docs/upgrade.md has it, while the keepers are those of 2.x.
fn a_monitor_of_2x_is_taken_back_until_a_keeper_is_upgraded(cluster: &mut Cluster) -> Result<()> {
    let from = version(cluster)?;
    let rows = "select string_agg(format('%s %s %s %s %s %s', nodeid, nodename, nodehost, nodeport, sysidentifier, \
                candidatepriority), ',' order by nodeid) from pgautofailover.node";
    let nodes = cluster.monitor.psql("pg_auto_failover", rows)?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;

    stop_monitor(cluster)?;
    cluster.install_older()?;
    let (pgdata, socket) = (cluster.monitor.pgdata(), cluster.monitor.directory.join("s"));
    let options = format!("-c shared_preload_libraries=pgautofailover -p 5432 -k {}", socket.display());
    let pg_ctl =
        |what: &str| format!("setsid pg_ctl {what} -w -D {} >/dev/null 2>&1 </dev/null", pgdata.display());
    cluster.monitor.shell(&pg_ctl(&format!("start -o '{options}'")))?;
    cluster.monitor.psql("pg_auto_failover", &sql_to_go_back(&from)?)?;
    cluster.monitor.shell(&pg_ctl("stop"))?;
    cluster.monitor.run()?;
    await_version(cluster, &from)?;
    the_older_monitor_goes_on(cluster)?;
    cluster.wait_whole(WHOLE)?;
    ensure!(cluster.monitor.psql("pg_auto_failover", rows)? == nodes, "the nodes are others");
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE, "{pause:?} without a commit");
    cluster.monitor.autoctl(&["perform", "switchover"])?.success()?;
    cluster.wait_primary_is("n2", TAKEOVER_FROM_2X)?;
    cluster.wait_whole(TAKEOVER_FROM_2X)?;

    // And forth again.
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;
    for name in ["n1", "n2"] {
        upgrade_keeper(cluster, name)?;
        cluster.wait_whole(WHOLE)?;
    }
    writer.wait_for_ack(SOON)?;
    cluster.verify(&[writer.stop()])
}

/// The statements of the document, for the version that there was.
fn sql_to_go_back(version: &str) -> Result<String> {
    const DOCUMENT: &str = include_str!("../../../../docs/upgrade.md");
    let block = DOCUMENT.split_once("<<'SQL'\n").and_then(|(_, rest)| rest.split_once("\nSQL\n"));
    let (sql, _) = block.context("docs/upgrade.md does not say how to go back")?;
    ensure!(sql.contains("VERSION '2.0'"), "docs/upgrade.md makes the extension in no version");
    Ok(sql.replace("VERSION '2.0'", &format!("VERSION '{version}'")))
}

/// The monitor's service is restarted, and the last script fails: nothing has changed, and 2.x may go on.
fn an_update_of_2x_that_fails_leaves_it_usable(cluster: &mut Cluster) -> Result<()> {
    let from = version(cluster)?;
    let writer = cluster.writer()?;
    let since = Instant::now();
    cluster.install_ours()?;
    let script = cluster.extension_directory()?.join("pgautofailover--3.0-tables--3.0.sql");
    let whole = std::fs::read_to_string(&script)?;
    std::fs::write(&script, format!("{whole}\nDO $$ BEGIN RAISE disk_full; END $$;\n"))?;
    stop_monitor(cluster)?;
    cluster.monitor.run()?;
    let ended = cluster.monitor.keeper_end(TAKEOVER)?;
    ensure!(ended.code() == Some(13), "it ended with {ended}");
    let log = std::fs::read_to_string(cluster.monitor.keeper_log())?;
    let reason = format!("could not update extension pgautofailover from {from} to 3.0: disk_full");
    ensure!(log.contains(&reason), "the log does not say why");

    cluster.install_older()?;
    cluster.monitor.run()?;
    await_version(cluster, &from)?;
    the_older_monitor_goes_on(cluster)?;
    cluster.wait_whole(WHOLE)?;

    cluster.install_ours()?;
    ensure!(std::fs::read_to_string(&script)? == whole, "the script is not that of this build");
    upgrade_monitor(cluster)?;
    has_all_of_a_new_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < PAUSE, "{pause:?} without a commit");
    for name in ["n2", "n1"] {
        upgrade_keeper(cluster, name)?;
        cluster.wait_whole(WHOLE)?;
    }
    cluster.verify(&[writer.stop()])
}

/// In the order of docs/upgrade.md: the monitor, the workers, the coordinator; standbys first.
fn citus_formation_of_2x_is_upgraded(cluster: &mut Cluster) -> Result<()> {
    let servers = postmasters(cluster)?;
    let clients = cluster.clients(Patience::Short)?;
    let since = Instant::now();
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    for name in ["worker1b", "worker1a", "coord0b", "coord0a"] {
        upgrade_keeper(cluster, name)?;
        cluster.wait_in_order(WHOLE)?;
    }
    let pause = clients.pause_since(since, SOON)?;
    eprintln!("upgrade of a Citus formation: {:.2} s without a commit", pause.as_secs_f64());
    ensure!(postmasters(cluster)? == servers, "a server was restarted");
    ensure!(pause < PAUSE, "{pause:?} without a commit");
    for (group, expected) in [("1", "worker1b"), ("0", "coord0b")] {
        cluster.ask(&["perform", "switchover", "--group", group])?;
        cluster.wait_primary_is(expected, TAKEOVER)?;
        cluster.wait_in_order(WHOLE)?;
    }
    well_again(cluster, clients)
}

/// The host of a primary of 2.x is lost, half-way through the upgrade.
fn a_primary_of_2x_is_succeeded_by_a_standby_of_this_build(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;
    upgrade_keeper(cluster, "n2")?;
    cluster.wait_whole(WHOLE)?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_another_primary("n1", TAKEOVER_FROM_2X)?;
    writer.wait_for_ack(TAKEOVER)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

fn a_primary_of_this_build_is_succeeded_by_a_standby_of_2x(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.install_ours()?;
    upgrade_monitor(cluster)?;
    older_keepers_are_served(cluster, &["n1", "n2"])?;
    upgrade_keeper(cluster, "n1")?;
    cluster.wait_whole(WHOLE)?;
    let since = Instant::now();
    cluster.host("n1")?.kill_postmaster()?;
    cluster.wait_another_primary("n1", TAKEOVER)?;
    writer.pause_since(since, TAKEOVER)?;
    cluster.wait_whole(WHOLE)?;
    upgrade_keeper(cluster, "n2")?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// The next version of this build is made up: what `run` does with the extension does not depend on what is in it.
fn run_updates_to_a_later_version_and_refuses_one_that_it_does_not_know(cluster: &mut Cluster) -> Result<()> {
    const LATER: &str = "3.999";
    let script = cluster.extension_directory()?.join(format!("pgautofailover--3.0--{LATER}.sql"));
    std::fs::write(
        &script,
        "CREATE FUNCTION pgautofailover.later() RETURNS int LANGUAGE sql AS 'SELECT 1';\n",
    )?;
    stop_monitor(cluster)?;
    let environment = cluster.monitor.environment.clone();
    let later = [("PG_AUTOCTL_DEBUG", "1"), ("PG_AUTOCTL_EXTENSION_VERSION", LATER)];
    cluster.monitor.environment.extend(later.map(|(name, value)| (name.to_owned(), value.to_owned())));
    cluster.monitor.run()?;
    await_version(cluster, LATER)?;
    ensure!(count(cluster, "select pgautofailover.later()")? == 1, "the script did not run");
    ensure!(count(cluster, "select count(*) from pgautofailover.node")? == 1, "the node is gone");
    stop_monitor(cluster)?;
    cluster.monitor.environment = environment;
    cluster.monitor.run()?;
    let ended = cluster.monitor.keeper_end(TAKEOVER)?;
    ensure!(ended.code() == Some(13), "it ended with {ended}");
    let log = std::fs::read_to_string(cluster.monitor.keeper_log())?;
    let refusal = format!("the monitor has extension pgautofailover {LATER}, this program works with 3.0");
    ensure!(log.contains(&refusal), "the log does not say why");
    std::fs::remove_file(script)?;
    Ok(())
}

fn stop_monitor(cluster: &mut Cluster) -> Result<()> {
    signal(cluster.monitor.keeper_pid()?, nix::sys::signal::Signal::SIGTERM)?;
    cluster.monitor.keeper_end(TAKEOVER)?;
    cluster.forget_watch();
    Ok(())
}

fn version(cluster: &Cluster) -> Result<String> {
    let sql = "select extversion from pg_extension where extname = 'pgautofailover'";
    cluster.monitor.psql("pg_auto_failover", sql)
}

fn await_version(cluster: &Cluster, expected: &str) -> Result<()> {
    wait_for("the extension to be of another version", TAKEOVER, || {
        Ok((version(cluster)? == expected).then_some(()))
    })
}

/// What is in the schema after the update is what a new database has.
fn has_all_of_a_new_monitor(cluster: &Cluster) -> Result<()> {
    const CATALOGS: &str = "
        select 'relation', c.relname, c.relkind::text, c.reloptions::text, c.relacl::text
          from pg_class c where c.relnamespace = 'pgautofailover'::regnamespace
        union all
        select 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
               pg_get_expr(d.adbin, d.adrelid)
          from pg_attribute a join pg_class c on c.oid = a.attrelid
          left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where c.relnamespace = 'pgautofailover'::regnamespace and a.attnum > 0
        union all
        select 'constraint', conname, conrelid::regclass::text, pg_get_constraintdef(oid), null
          from pg_constraint where connamespace = 'pgautofailover'::regnamespace
        union all
        select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), null, null
          from pg_index join pg_class c on c.oid = indexrelid where c.relnamespace = 'pgautofailover'::regnamespace
        union all
        select 'function', oid::regprocedure::text, pg_get_functiondef(oid), proacl::text, null
          from pg_proc where pronamespace = 'pgautofailover'::regnamespace
        union all
        select 'trigger', tgname, pg_get_triggerdef(t.oid), null, null
          from pg_trigger t join pg_class c on c.oid = tgrelid
         where c.relnamespace = 'pgautofailover'::regnamespace and not tgisinternal
        union all
        select 'label', enumlabel, enumsortorder::text, null, null
          from pg_enum e join pg_type t on t.oid = enumtypid where typnamespace = 'pgautofailover'::regnamespace
        union all
        select 'dumped', relation::regclass::text, condition, null, null
          from pg_extension, unnest(extconfig, extcondition) as u (relation, condition)
         where extname = 'pgautofailover'
        order by 1, 2, 3";
    cluster.monitor.psql("postgres", "create database fresh")?;
    cluster.monitor.psql("fresh", "create extension pgautofailover version '3.0' cascade")?;
    let updated = cluster.monitor.psql("pg_auto_failover", CATALOGS)?;
    let fresh = cluster.monitor.psql("fresh", CATALOGS)?;
    cluster.monitor.psql("postgres", "drop database fresh")?;
    let only_in = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    let (missing, surplus) = (only_in(&fresh, &updated), only_in(&updated, &fresh));
    ensure!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
    Ok(())
}

fn postmasters(cluster: &Cluster) -> Result<Vec<i32>> {
    cluster.nodes.iter().map(|host| host.postmaster_pid()).collect()
}

fn count(cluster: &Cluster, sql: &str) -> Result<i64> {
    Ok(cluster.monitor.psql("pg_auto_failover", sql)?.parse()?)
}

/// New sessions of the monitor that has not been restarted find its version and its library.
fn the_older_monitor_goes_on(cluster: &Cluster) -> Result<()> {
    let since = "select clock_timestamp()";
    let since = cluster.monitor.psql("pg_auto_failover", since)?;
    let behind = format!(
        "select count(*) from pgautofailover.node where reporttime <= '{since}'::timestamptz + interval '2 s'"
    );
    wait_for("reports to the monitor of 2.x", TAKEOVER, || Ok((count(cluster, &behind)? == 0).then_some(())))
}

/// Restarts the monitor's service, and waits for its extension.
fn upgrade_monitor(cluster: &mut Cluster) -> Result<()> {
    stop_monitor(cluster)?;
    cluster.monitor.run()?;
    await_version(cluster, "3.0")
}

/// Keepers of 2.x report to the monitor of this build.
fn older_keepers_are_served(cluster: &Cluster, names: &[&str]) -> Result<()> {
    for name in names {
        let sql = format!(
            "select count(*) from pgautofailover.node where nodename = '{name}' and reportclock is not null \
             and reportdetail is null and reportserverstart = pg_postmaster_start_time()"
        );
        wait_for("a report of a keeper of 2.x", TAKEOVER, || Ok((count(cluster, &sql)? == 1).then_some(())))?;
    }
    cluster.wait_whole(WHOLE)
}

/// Restarts a keeper's service as docs/upgrade.md says: the supervisor of 2.x is killed, Postgres goes on.
fn upgrade_keeper(cluster: &mut Cluster, name: &str) -> Result<()> {
    let host = cluster.host_mut(name)?;
    let server = host.postmaster_pid()?;
    signal(host.keeper_pid()?, nix::sys::signal::Signal::SIGKILL)?;
    host.keeper_end(SOON)?;
    host.run()?;
    let sql = format!(
        "select count(*) from pgautofailover.node where nodename = '{name}' and reportdetail is not null"
    );
    wait_for("the keeper of this build to report", TAKEOVER, || {
        Ok((count(cluster, &sql)? == 1).then_some(()))
    })?;
    ensure!(is_process(server), "the server of {name} has ended");
    Ok(())
}

fn loses_its_primary(cluster: &mut Cluster, writer: &Writer) -> Result<()> {
    let old = cluster.primary()?;
    let since = Instant::now();
    cluster.host(&old)?.kill_postmaster()?;
    cluster.wait_another_primary(&old, TAKEOVER)?;
    let pause = writer.pause_since(since, SOON)?;
    ensure!(pause < Duration::from_secs(5), "{pause:?} without a commit after the loss of {old}");
    cluster.wait_whole(WHOLE).context("after the loss of the primary")
}
