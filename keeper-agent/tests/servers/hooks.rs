//! Hooks of the user: what they are told, and that nothing waits for one that hangs, floods, fails or is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{give_to_postgres, wait_for};
use crate::node::Node;

/// A writer does not notice a hook.
const UNNOTICED: Duration = Duration::from_secs(5);
/// A keeper that ends waits for its hooks no longer than this, and a moment.
const AT_THE_END: Duration = Duration::from_secs(20);

cases! {
    2:
        hooks_are_told_what_becomes_of_a_node,
        a_hook_that_refuses_keeps_the_primary_and_no_failover,
        a_switchover_waits_for_a_hook_that_agrees,
        hooks_that_go_wrong_hold_up_nothing,
        a_fence_is_told_to_the_hook,
        a_webhook_is_told_of_events;
}

/// A program in the directory of the node.
fn program(node: &Node, name: &str, body: &str) -> Result<PathBuf> {
    let path = node.directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    give_to_postgres(&path)?;
    Ok(path)
}

/// A program that writes down what it is told.
fn recorder(node: &Node) -> Result<PathBuf> {
    let body = format!(
        "echo \"$PGAF_HOOK $PGAF_OLD_ROLE $PGAF_NEW_ROLE $PGAF_NODE_NAME $PGAF_FORMATION $PGAF_GROUP $PGAF_TIMELINE $(cat)\" >> {}",
        record(node).display()
    );
    program(node, "recorder", &body)
}

fn record(node: &Node) -> PathBuf {
    node.directory.join("record")
}

fn recorded(node: &Node) -> String {
    fs::read_to_string(record(node)).unwrap_or_default()
}

/// Has these hooks called from now on.
fn set(node: &Node, hooks: &[(&str, String)]) -> Result<()> {
    const READ: &str = "configuration reloaded";
    let before = node.said()?.matches(READ).count();
    for (name, command) in hooks {
        node.autoctl(&["config", "set", &format!("hooks.{name}"), command])?;
    }
    node.autoctl(&["reload"])?;
    wait_for("the configuration to be read", WITHIN, || {
        Ok((node.said()?.matches(READ).count() > before).then_some(()))
    })
}

/// The monitor knows who is to be asked before a promotion.
fn await_asked(bed: &Bed, count: &str) -> Result<()> {
    let sql = "select count(*) from pgautofailover.node where (reportdetail->>'asks_before_promotion')::bool";
    wait_for("the monitor to know the hook", WITHIN, || {
        Ok((bed.on_monitor(|monitor| monitor.text(sql))? == count).then_some(()))
    })
}

fn set_recorder(bed: &Bed) -> Result<()> {
    for node in &bed.nodes {
        let command = recorder(node)?.display().to_string();
        let hooks = ["on_role_change", "on_start", "on_stop", "on_fence", "before_promote"];
        set(node, &hooks.map(|hook| (hook, command.clone())))?;
    }
    await_asked(bed, "2")
}

/// Waits until a hook of the node was told this.
fn wait_told(node: &Node, words: &str) -> Result<()> {
    wait_for(&format!("a hook of {} to be told {words}", node.name), WITHIN, || {
        let said = recorded(node);
        ensure!(said.contains(words), "{said}");
        Ok(Some(()))
    })
}

fn hooks_are_told_what_becomes_of_a_node(bed: &mut Bed) -> Result<()> {
    set_recorder(bed)?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    let (n1, n2) = (bed.node("n1"), bed.node("n2"));
    wait_told(n2, "before_promote standby primary n2 default 0 1")?;
    wait_told(n2, "on_role_change standby primary n2 default 0 2")?;
    wait_told(n1, "on_stop primary none n1 default 0 1")?;
    wait_told(n1, "on_role_change primary none n1")?;
    wait_told(n1, "on_start none standby n1")?;
    wait_told(n1, "on_role_change none standby n1")?;
    let said = recorded(n2);
    let line = said.lines().find(|line| line.starts_with("on_role_change")).context("a line")?;
    let json = line.split_once('{').map(|(_, rest)| format!("{{{rest}")).context("JSON")?;
    for fact in ["\"new_role\":\"primary\"", "\"node_name\":\"n2\"", "\"timeline\":2", "\"group\":0"] {
        ensure!(json.contains(fact), "{fact}: {json}");
    }
    ensure!(json.contains(&format!("\"node_port\":{}", n2.port)), "{json}");
    // The loss of the primary: nobody is asked.
    let asked = recorded(n1).matches("before_promote").count();
    bed.node_mut("n2").kill_both()?;
    bed.wait_primary("n1")?;
    let n1 = bed.node("n1");
    wait_told(n1, "on_role_change standby primary n1")?;
    ensure!(recorded(n1).matches("before_promote").count() == asked, "{}", recorded(n1));
    // A keeper that ends tells before.
    let before = recorded(n1);
    bed.node_mut("n1").stop()?;
    let after = recorded(bed.node("n1"))[before.len()..].to_owned();
    ensure!(after.contains("on_stop primary none n1"), "{after}");
    ensure!(after.contains("on_role_change primary none n1"), "{after}");
    Ok(())
}

fn a_hook_that_refuses_keeps_the_primary_and_no_failover(bed: &mut Bed) -> Result<()> {
    let n2 = bed.node("n2");
    let refuses = program(n2, "refuses", "echo 'backups are running' >&2; exit 1")?;
    set(n2, &[("before_promote", refuses.display().to_string())])?;
    await_asked(bed, "1")?;
    let writer = bed.writer()?;
    let since = Instant::now();
    let said = bed.node("n1").same_postmaster(|| {
        let ended = bed.monitor.program("pg_autoctl", &["perform", "switchover"])?;
        ensure!(ended.code() != 0, "the switchover was not refused");
        Ok(ended.stderr)
    })?;
    ensure!(said.contains("before_promote of node 2") && said.contains("refused"), "{said}");
    ensure!(bed.node("n2").said()?.contains("backups are running"), "the log does not say why");
    bed.wait_event("%[hand_over_is_refused]")?;
    bed.wait_whole()?;
    bed.wait_primary("n1")?;
    bed.check_no_failover()?;
    writer.wait_for_ack(WITHIN)?;
    let ledger = writer.stop();
    let pause = ledger.longest_pause(since);
    ensure!(pause < UNNOTICED, "clients waited for {pause:?}");
    bed.verify("n1", &[ledger])?;
    // And refuses nothing that is not planned.
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")
}

fn a_switchover_waits_for_a_hook_that_agrees(bed: &mut Bed) -> Result<()> {
    let n2 = bed.node("n2");
    let go = n2.directory.join("go");
    let waits = program(n2, "waits", &format!("until [ -e {} ]; do sleep 0.05; done", go.display()))?;
    set(n2, &[("before_promote", waits.display().to_string())])?;
    await_asked(bed, "1")?;
    let writer = bed.writer()?;
    bed.monitor.sql_as("postgres", "pg_auto_failover", "select pgautofailover.perform_failover()")?;
    wait_for("the hook to be asked", WITHIN, || {
        Ok(bed.node("n2").said()?.contains("starting: ask hook before_promote").then_some(()))
    })?;
    // The primary serves for as long as the hook thinks.
    for _ in 0..3 {
        writer.wait_for_ack(WITHIN)?;
        bed.wait_primary("n1")?;
    }
    fs::write(&go, "")?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}

fn hooks_that_go_wrong_hold_up_nothing(bed: &mut Bed) -> Result<()> {
    for node in &bed.nodes {
        let hangs = program(node, "hangs", "sleep 300")?.display().to_string();
        let floods = program(node, "floods", "while :; do echo flood; done")?.display().to_string();
        let fails = program(node, "fails", "exit 7")?.display().to_string();
        set(
            node,
            &[
                ("on_role_change", hangs),
                ("on_stop", floods),
                ("on_start", "/nowhere/to/be/found".to_owned()),
                ("on_fence", fails),
            ],
        )?;
    }
    let writer = bed.writer()?;
    let since = Instant::now();
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    bed.node("n2").kill_postmaster()?;
    bed.wait_primary("n1")?;
    writer.wait_for_ack(WITHIN)?;
    bed.wait_whole()?;
    let ledger = writer.stop();
    let pause = ledger.longest_pause(since);
    ensure!(pause < UNNOTICED, "clients waited for {pause:?}");
    bed.verify("n1", &[ledger])?;
    wait_for("all that went wrong to be told", WITHIN, || {
        let log = bed.node("n1").said()?;
        for words in ["was ended after 10 s", "printed more than 64 kB", "could not be started"] {
            ensure!(log.contains(words), "the log does not say \"{words}\"");
        }
        Ok(Some(()))
    })?;
    let began = Instant::now();
    bed.node_mut("n1").stop()?;
    ensure!(began.elapsed() < AT_THE_END, "the end took {:?}", began.elapsed());
    Ok(())
}

fn a_fence_is_told_to_the_hook(bed: &mut Bed) -> Result<()> {
    set_recorder(bed)?;
    // Nobody is left to confirm it.
    bed.node_mut("n2").kill_both()?;
    bed.monitor.kill_both()?;
    wait_told(bed.node("n1"), "on_fence primary none n1 default 0 1")?;
    wait_told(bed.node("n1"), "on_stop primary none n1")?;
    wait_told(bed.node("n1"), "on_role_change primary none n1")
}

fn a_webhook_is_told_of_events(bed: &mut Bed) -> Result<()> {
    let body = format!(
        "echo \"$PGAF_HOOK $PGAF_FORMATION/$PGAF_GROUP $PGAF_NODE_NAME $PGAF_REPORTED_STATE $PGAF_GOAL_STATE: $PGAF_DESCRIPTION\" >> {}",
        record(&bed.monitor).display()
    );
    let command = program(&bed.monitor, "recorder", &body)?.display().to_string();
    bed.monitor.autoctl(&["config", "set", "hooks.on_event", &command])?;
    bed.monitor.autoctl(&["reload"])?;
    wait_for("the configuration to be read", WITHIN, || {
        Ok(bed.monitor.said()?.contains("configuration reloaded").then_some(()))
    })?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    wait_told(&bed.monitor, "on_event default/0 n2 wait_primary wait_primary: New state of node 2")?;
    bed.wait_whole()?;
    // Each once, in their order.
    wait_told(&bed.monitor, "on_event default/0 n1 secondary secondary: New state of node 1")?;
    let said = recorded(&bed.monitor);
    let goals: Vec<&str> =
        said.lines().filter(|line| line.contains("n2 secondary prepare_promotion: Setting")).collect();
    ensure!(goals.len() == 1, "{said}");
    Ok(())
}
