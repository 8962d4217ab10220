//! A data node in figures.

use pgaf_core::CommitRule;
use pgaf_core::keeper::{HookKind, Moment};

use super::super::counters::{Exposition, Labels, flag, float};
use super::super::health;
use super::super::snapshot::NodeSnapshot;
use crate::hooks::HookCount;

pub(super) fn add(exposition: &mut Exposition, node: &NodeSnapshot, now: Moment) {
    states(exposition, node, now);
    positions(exposition, node, now);
    commits(exposition, node);
    ages(exposition, node, now);
    hooks(exposition, node);
}

fn hooks(exposition: &mut Exposition, node: &NodeSnapshot) {
    let counts = node.hooks.read();
    let samples = |count: fn(&HookCount) -> u64| {
        let sample =
            |(kind, of): &(HookKind, HookCount)| (vec![("hook", kind.to_string())], float(count(of)));
        counts.iter().filter(|(kind, _)| *kind != HookKind::Event).map(sample).collect()
    };
    exposition.counters(
        "pgautofailover_keeper_hook_calls",
        "Calls of a hook, by the hook",
        samples(|of| of.calls),
    );
    exposition.counters(
        "pgautofailover_keeper_hook_failures",
        "Calls that could not be started or ended with an error; of before_promote also refusals",
        samples(|of| of.failures),
    );
    exposition.counters(
        "pgautofailover_keeper_hook_timeouts",
        "Calls that were ended because they took too long",
        samples(|of| of.timeouts),
    );
    exposition.counters(
        "pgautofailover_keeper_hook_discarded",
        "Calls that gave way to newer ones, because earlier ones took too long",
        samples(|of| of.dropped),
    );
}

fn states(exposition: &mut Exposition, node: &NodeSnapshot, now: Moment) {
    let identity = &node.identity;
    exposition.info(
        "pgautofailover_keeper_node",
        "Who the node is",
        vec![
            ("formation", identity.formation.clone()),
            ("group", identity.group.to_string()),
            ("node", identity.name.clone()),
            ("node_id", identity.node.to_string()),
            ("host", identity.host.clone()),
            ("port", identity.port.to_string()),
        ],
    );
    let state = |word: &str| vec![("state", word.to_owned())];
    exposition.gauges(
        "pgautofailover_keeper_reported_state",
        "1 for the state that the node has reached",
        vec![(state(node.reported.as_str()), 1.0)],
    );
    let goal = node.goal().map(|goal| (state(goal.as_str()), 1.0));
    exposition.gauges(
        "pgautofailover_keeper_goal_state",
        "1 for the state that the monitor has assigned",
        goal.into_iter().collect(),
    );
    exposition.gauges(
        "pgautofailover_keeper_postgres_state",
        "1 for what Postgres is: running, gated, starting, unresponsive, refusing or stopped",
        vec![(state(health::server_word(node)), 1.0)],
    );
    exposition.gauge(
        "pgautofailover_keeper_is_primary",
        "1 when the node accepts writes and may, as /primary says",
        flag(health::writes(node, now).is_ok()),
    );
    exposition.gauge(
        "pgautofailover_keeper_is_replica",
        "1 when the node is a standby that serves reads, as /replica says",
        flag(health::reads(node).is_ok()),
    );
}

fn positions(exposition: &mut Exposition, node: &NodeSnapshot, now: Moment) {
    let running = node.running();
    exposition.gauge(
        "pgautofailover_keeper_timeline",
        "The timeline that Postgres writes or replays",
        running.map(|running| float(running.timeline.0.into())),
    );
    exposition.gauge(
        "pgautofailover_keeper_wal_position_bytes",
        "WAL that was flushed, on a primary, or received",
        running.map(|running| float(running.lsn.0)),
    );
    exposition.gauge(
        "pgautofailover_keeper_replayed_position_bytes",
        "WAL that was replayed; on a primary the same as above",
        running.map(|running| float(running.replayed.0)),
    );
    exposition.gauge(
        "pgautofailover_keeper_replication_lag_bytes",
        "WAL that a standby has not replayed, of all that its primary is known to have",
        node.lag_bytes(now).map(float),
    );
    exposition.gauge(
        "pgautofailover_keeper_replication_lag_seconds",
        "Age of the last transaction that a standby has replayed; 0 when it has replayed all that it has received",
        node.measured.replay_delay.map(|delay| delay.as_secs_f64()),
    );
    let slots = node.measured.slot_bytes.iter();
    exposition.gauges(
        "pgautofailover_keeper_slot_retained_bytes",
        "WAL that a replication slot keeps, by slot",
        slots.map(|(slot, bytes)| (vec![("slot", slot.clone())], float(*bytes))).collect(),
    );
    let standbys = running.map(|running| running.standbys.as_slice()).unwrap_or_default();
    let label = |id: pgaf_core::NodeId| -> Labels { vec![("standby_id", id.to_string())] };
    exposition.gauges(
        "pgautofailover_keeper_standby_streaming",
        "1 for a standby that streams from this node and has replied lately, by its id",
        standbys.iter().map(|standby| (label(standby.node), flag(standby.is_streaming))).collect(),
    );
    exposition.gauges(
        "pgautofailover_keeper_standby_unflushed_bytes",
        "WAL that a standby of this node has not flushed, by its id",
        standbys
            .iter()
            .filter_map(|standby| {
                let end = running?.lsn;
                Some((label(standby.node), float(standby.flushed.bytes_behind(end))))
            })
            .collect(),
    );
}

fn commits(exposition: &mut Exposition, node: &NodeSnapshot) {
    let assigned = node.assignment.as_ref().filter(|assignment| assignment.goal.is_writer());
    let rule: Option<&CommitRule> = assigned.map(|assignment| &assignment.commit_rule);
    exposition.gauge(
        "pgautofailover_keeper_commit_acknowledgements",
        "Standbys whose acknowledgement a commit on this primary waits for",
        rule.map(|rule| float(rule.acks.into())),
    );
    exposition.gauge(
        "pgautofailover_keeper_commit_quorum_standbys",
        "Standbys that may give it",
        rule.and_then(|rule| u64::try_from(rule.standbys.len()).ok()).map(float),
    );
    let follows = rule.zip(node.running()).map(|(rule, running)| {
        flag(running.synchronous_standby_names.starts_with(&rule.synchronous_standby_names()))
    });
    exposition.gauge(
        "pgautofailover_keeper_commit_rule_in_force",
        "1 when commits on this primary wait as the monitor says",
        follows,
    );
}

fn ages(exposition: &mut Exposition, node: &NodeSnapshot, now: Moment) {
    let age = |since: Moment| now.since(since).as_secs_f64();
    exposition.gauge(
        "pgautofailover_keeper_loop_age_seconds",
        "Time since the keeper last went round its loop",
        age(node.turned_at),
    );
    exposition.gauge(
        "pgautofailover_keeper_look_age_seconds",
        "Time since Postgres was last looked at",
        node.seen.as_ref().map(|seen| age(seen.at)),
    );
    exposition.gauge(
        "pgautofailover_keeper_monitor_answer_age_seconds",
        "Time since a report was sent that the monitor has answered",
        node.monitor_answered.map(age),
    );
    exposition.gauge(
        "pgautofailover_keeper_monitor_answers",
        "1 while the monitor answers",
        flag(!node.is_monitor_silent && node.monitor_answered.is_some()),
    );
    let left = |end: Moment| end.since(now).as_secs_f64() - now.since(end).as_secs_f64();
    exposition.gauge(
        "pgautofailover_keeper_authority_left_seconds",
        "Time after which this primary stops unless the monitor or the standbys confirm it; negative when that is over",
        node.authority_ends.map(left),
    );
}
