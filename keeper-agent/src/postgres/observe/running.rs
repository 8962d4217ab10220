//! What a server that answers says of itself, asked in one round trip.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use pgaf_core::NodeId;
use pgaf_core::keeper::{Receiver, Running, StreamingStandby};
use pgaf_core::lsn::{Lsn, Timeline};
use serde::Deserialize;

use crate::postgres::configuration::{conninfo, opt_outs, opt_outs::OptOut};
use crate::postgres::data::RecoverySettings;
use crate::postgres::server::Measured;

/// One row with one JSON text.
pub(crate) static QUESTION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "\
SELECT json_build_object(
  'is_in_recovery', r,
  'clock', extract(epoch FROM clock_timestamp()),
  'server_start', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8,
  'is_in_template', current_database() = 'template1',
  'is_gated', coalesce(current_setting('pg_autoctl.gated', true), '') = 'on',
  'lsn', CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
         ELSE pg_current_wal_flush_lsn() END,
  'replayed', CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
  'timeline', CASE WHEN r THEN NULL
              ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
  'synchronous_standby_names', current_setting('synchronous_standby_names'),
  'synchronous_commit', current_setting('synchronous_commit'),
  'opt_outs', ({opt_outs}),
  'primary_slot_name', current_setting('primary_slot_name'),
  'is_replay_paused', r AND pg_is_wal_replay_paused(),
  'settings', json_build_object(
      'max_connections', current_setting('max_connections')::int,
      'max_worker_processes', current_setting('max_worker_processes')::int,
      'max_wal_senders', current_setting('max_wal_senders')::int,
      'max_prepared_transactions', current_setting('max_prepared_transactions')::int,
      'max_locks_per_transaction', current_setting('max_locks_per_transaction')::int),
  'primary_conninfo', CASE WHEN r THEN current_setting('primary_conninfo') ELSE '' END,
  'has_archive', current_setting('restore_command') <> '',
  'is_replay_idle', r AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup'
                                  AND wait_event = 'RecoveryRetrieveRetryInterval'),
  'has_receiver', r AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
  'receiver', (SELECT json_build_object('status', status, 'timeline', received_tli,
                                        'heard', last_msg_receipt_time,
                                        'heard_ago', extract(epoch FROM clock_timestamp() - last_msg_receipt_time))
               FROM pg_stat_wal_receiver WHERE r),
  'standbys', (SELECT coalesce(json_agg(json_build_object(
                   'pid', pid, 'name', application_name, 'state', state, 'sync_state', sync_state,
                   'flushed', flush_lsn, 'replied', reply_time)), '[]')
               FROM pg_stat_replication WHERE starts_with(application_name, 'pgautofailover_standby_')),
  'replay_delay_ms', CASE WHEN r AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
      WHEN r THEN greatest((extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::int8, 0) END,
  'slot_bytes', (SELECT coalesce(json_object_agg(slot_name, greatest(pg_wal_lsn_diff(
                     CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
                     restart_lsn), 0)::int8), '{{}}')
                 FROM pg_replication_slots WHERE restart_lsn IS NOT NULL),
  'slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots
            WHERE slot_type = 'physical' AND starts_with(slot_name, 'pgautofailover_standby_'))
)::text FROM pg_is_in_recovery() r",
        opt_outs = opt_outs::QUERY
    )
});

/// The answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) is_in_recovery: bool,
    /// The server's wall clock, in seconds.
    pub(crate) clock: f64,
    /// When the postmaster was started, by the server's wall clock, in microseconds.
    pub(crate) server_start: i64,
    pub(crate) is_in_template: bool,
    pub(crate) is_gated: bool,
    lsn: Option<Lsn>,
    pub(crate) replayed: Option<Lsn>,
    timeline: Option<u32>,
    pub(crate) synchronous_standby_names: String,
    synchronous_commit: String,
    opt_outs: Vec<OptOut>,
    primary_conninfo: String,
    primary_slot_name: String,
    pub(crate) is_replay_paused: bool,
    pub(crate) settings: RecoverySettings,
    has_archive: bool,
    is_replay_idle: bool,
    has_receiver: bool,
    pub(crate) receiver: Option<ReceiverRow>,
    pub(crate) standbys: Vec<StandbyRow>,
    #[serde(default)]
    replay_delay_ms: Option<u64>,
    #[serde(default)]
    slot_bytes: BTreeMap<String, u64>,
    slots: Vec<String>,
}

/// The row of pg_stat_wal_receiver.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ReceiverRow {
    status: Option<String>,
    pub(crate) timeline: Option<u32>,
    /// When the upstream was last heard; only whether it changes is looked at.
    pub(crate) heard: Option<String>,
    /// How long ago that was by the server's wall clock, in seconds.
    pub(crate) heard_ago: Option<f64>,
}

/// A row of pg_stat_replication.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StandbyRow {
    pub(crate) pid: i32,
    name: String,
    state: Option<String>,
    pub(crate) sync_state: Option<String>,
    flushed: Option<Lsn>,
    /// When the standby last replied, on its own clock; only whether it changes is looked at.
    pub(crate) replied: Option<String>,
}

impl ReceiverRow {
    pub(crate) fn is_streaming(&self) -> bool {
        self.status.as_deref() == Some("streaming")
    }
}

impl StandbyRow {
    pub(crate) fn is_synchronous(&self) -> bool {
        matches!(self.sync_state.as_deref(), Some("quorum" | "sync"))
    }
}

/// What has to be known besides the answer.
pub(crate) struct Context<'a> {
    /// The timeline, where the server cannot say it.
    pub(crate) timeline: Timeline,
    /// The value of synchronous_standby_names that all processes are known to follow.
    pub(crate) followed_names: Option<&'a str>,
    /// Where replay has ended, as a step has proved for this server.
    pub(crate) replay_over_at: Option<Lsn>,
    /// Replay has paused because the WAL requires higher settings.
    pub(crate) is_short_of_settings: bool,
    /// `primary_slot_name`, as it must be for a standby that follows somebody.
    pub(crate) slot_name: String,
    /// A walsender's standby has replied lately.
    pub(crate) is_fresh: &'a dyn Fn(i32) -> bool,
}

impl Answer {
    /// What is in it for people.
    pub(crate) fn measured(&self) -> Measured {
        Measured {
            replay_delay: self.replay_delay_ms.map(Duration::from_millis),
            slot_bytes: self.slot_bytes.clone(),
        }
    }

    /// The answer as a plan sees it.
    pub(crate) fn running(&self, context: &Context<'_>) -> Running {
        let is_replay_over = self.is_replay_over(context);
        Running {
            is_in_recovery: self.is_in_recovery,
            is_gated: self.is_gated,
            timeline: self.timeline.map_or(context.timeline, Timeline),
            // The last record may have come in part only: such a part is no reason to wait, and no vote.
            lsn: if is_replay_over { self.replayed } else { self.lsn }.unwrap_or_default(),
            replayed: self.replayed.unwrap_or_default(),
            synchronous_standby_names: self.names_in_force(context),
            follows: conninfo::following(&self.primary_conninfo)
                .filter(|_| self.primary_slot_name == context.slot_name),
            receiver: self.receiver(),
            is_replay_over,
            is_short_of_settings: context.is_short_of_settings,
            standbys: self.standbys(context),
            slots: self.slots.iter().filter_map(|name| NodeId::of_slot_name(name)).collect(),
        }
    }

    /// The value that all follow. One that perhaps not all follow yet equals no value that could be wanted, so that it
    /// is set again, which proves it. An empty one needs no proof: who does not follow it waits, and loses nothing.
    fn names_in_force(&self, context: &Context<'_>) -> String {
        let names = &self.synchronous_standby_names;
        if let Some(reason) = self.why_commits_do_not_wait().filter(|_| !names.is_empty()) {
            return format!("not in force, {reason}: {names}");
        }
        if names.is_empty() || context.followed_names == Some(names.as_str()) {
            return names.clone();
        }
        format!("{names} (perhaps not yet in force)")
    }

    /// Commits do not wait, whatever synchronous_standby_names says, because of the default that sessions have.
    pub(crate) fn why_commits_do_not_wait(&self) -> Option<String> {
        if self.is_in_recovery {
            return None;
        }
        let is_off = opt_outs::is_asynchronous(&self.synchronous_commit);
        let default = is_off.then(|| {
            format!("commits wait for no standby, as synchronous_commit is {}", self.synchronous_commit)
        });
        self.opt_outs.first().map(OptOut::describe).or(default)
    }

    /// It was proved, and nothing has changed since.
    fn is_replay_over(&self, context: &Context<'_>) -> bool {
        let is_cut = !self.has_receiver && self.primary_conninfo.is_empty();
        self.is_in_recovery && is_cut && self.replayed.is_some() && self.replayed == context.replay_over_at
    }

    /// It has replayed what it has, and can get more from its upstream only.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_replay_idle && !self.has_archive
    }

    fn receiver(&self) -> Receiver {
        match &self.receiver {
            Some(row) if row.is_streaming() => Receiver::Streaming,
            _ if self.has_receiver => Receiver::Idle,
            _ => Receiver::Absent,
        }
    }

    /// One entry for a node: after a reconnect, the walsender of before may still be there.
    fn standbys(&self, context: &Context<'_>) -> Vec<StreamingStandby> {
        let mut found: Vec<StreamingStandby> = Vec::new();
        for row in &self.standbys {
            let Some(node) = NodeId::of_slot_name(&row.name) else {
                continue;
            };
            let is_streaming = row.state.as_deref() == Some("streaming") && (context.is_fresh)(row.pid);
            let standby = StreamingStandby {
                node,
                is_streaming,
                is_synchronous: row.is_synchronous(),
                flushed: row.flushed.unwrap_or_default(),
            };
            match found.iter_mut().find(|other| other.node == node) {
                None => found.push(standby),
                Some(other) if !other.is_streaming && is_streaming => *other = standby,
                Some(_) => {}
            }
        }
        found.sort_by_key(|standby| standby.node);
        found
    }

    /// For people: how the standbys are replicated to.
    pub(crate) fn sync_state(&self) -> String {
        ["quorum", "sync", "potential", "async"]
            .into_iter()
            .find(|word| self.standbys.iter().any(|row| row.sync_state.as_deref() == Some(word)))
            .unwrap_or_default()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use pgaf_core::id::NodeId;

    use super::*;

    fn answer(standbys: &str) -> Answer {
        let text = format!(
            r#"{{"is_in_recovery":false,"clock":1.0,"server_start":7,"is_in_template":false,"is_gated":false,"lsn":"0/3000060","replayed":"0/3000060",
                "timeline":2,"synchronous_standby_names":"ANY 1 (x)","primary_conninfo":"",
                "synchronous_commit":"on","opt_outs":[],"primary_slot_name":"","is_replay_paused":false,
                "settings":{{"max_connections":100,"max_worker_processes":8,"max_wal_senders":12,
                             "max_prepared_transactions":0,"max_locks_per_transaction":64}},
                "has_archive":false,"is_replay_idle":false,"has_receiver":false,"receiver":null,"standbys":[{standbys}],
                "slots":["pgautofailover_standby_2"]}}"#
        );
        serde_json::from_str(&text).expect("an answer")
    }

    fn row(pid: i32, state: &str) -> String {
        format!(
            r#"{{"pid":{pid},"name":"pgautofailover_standby_2","state":"{state}",
                "sync_state":"quorum","flushed":"0/3000000","replied":"x"}}"#
        )
    }

    fn context<'a>(is_fresh: &'a dyn Fn(i32) -> bool, names: Option<&'a str>) -> Context<'a> {
        Context {
            timeline: Timeline(9),
            followed_names: names,
            replay_over_at: None,
            is_short_of_settings: false,
            slot_name: String::new(),
            is_fresh,
        }
    }

    #[test]
    fn a_value_that_not_all_follow_is_not_in_force() {
        let names = |followed| {
            let running = answer("").running(&context(&|_| true, followed));
            running.synchronous_standby_names
        };
        for unproven in [names(None), names(Some("ANY 1 (y)"))] {
            assert!(unproven != "ANY 1 (x)" && !unproven.is_empty(), "{unproven}");
        }
        assert_eq!(names(Some("ANY 1 (x)")), "ANY 1 (x)");
    }

    #[test]
    fn the_end_of_replay_is_proved_for_one_place_and_one_standby_that_is_cut() {
        let at = |lsn| Some(Lsn(lsn));
        let mut standby = Answer { is_in_recovery: true, lsn: at(0x300_0080), ..answer("") };
        let seen = |standby: &Answer, replay_over_at| {
            let running = standby.running(&Context { replay_over_at, ..context(&|_| true, None) });
            (running.is_replay_over, running.lsn)
        };
        assert_eq!(seen(&standby, at(0x300_0060)), (true, Lsn(0x300_0060)), "half a record is no vote");
        assert_eq!(seen(&standby, None), (false, Lsn(0x300_0080)));
        assert!(!seen(&standby, at(0x300_0050)).0, "it has gone on");
        standby.has_receiver = true;
        assert!(!seen(&standby, at(0x300_0060)).0, "it receives");
    }

    #[test]
    fn a_silent_walsender_does_not_stream() {
        let rows = [row(7, "streaming"), row(8, "streaming")].join(",");
        let standbys =
            |is_fresh: &dyn Fn(i32) -> bool| answer(&rows).running(&context(is_fresh, None)).standbys;
        let streaming: Vec<bool> =
            standbys(&|pid| pid == 8).iter().map(|standby| standby.is_streaming).collect();
        assert_eq!(streaming, [true], "the newer one counts");
        let running = standbys(&|_| false);
        assert!(running.iter().all(|standby| !standby.is_streaming));
        assert_eq!(running.first().map(|standby| standby.node), Some(NodeId(2)));
    }
}
