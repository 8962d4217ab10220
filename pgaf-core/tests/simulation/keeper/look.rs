//! What a keeper sees of its Postgres, and of the upstream that it asks for its history.

use pgaf_core::keeper::{
    Cluster, DataDirectory, Following, Memory, Observation, Observed, Receiver, Running, Server,
    StreamingStandby,
};
use pgaf_core::{Lineage, Timeline, TimelineHistory, Upstream};

use super::super::address;
use super::super::postgres::{Files, Mode, Postgres, Role};
use super::super::wal::Archive;
use super::{Keeper, moment};

/// A stream that has lasted for so long goes on.
const STEADY_MS: u64 = 1500;

impl Keeper {
    /// Looks; `upstream` is there when it could be asked.
    pub(crate) fn look(
        &mut self,
        postgres: &Postgres,
        upstream: Option<(usize, &Postgres)>,
        archive: &Archive,
        now: u64,
    ) -> Observation {
        let is_streaming = postgres.is_standby() && postgres.receiver == Receiver::Streaming;
        self.streaming_since = self.streaming_since.or(Some(now)).filter(|_| is_streaming);
        let server = self.server(postgres, archive, now);
        let lineage = upstream.and_then(|source| self.lineage(postgres, &server, source, archive, now));
        let is_standby = matches!(&server, Server::Running(running) if running.is_in_recovery);
        let is_stopped = server == Server::Stopped;
        Observation {
            observed: Observed {
                data: data(postgres, archive),
                server,
                lineage: lineage.map(|(lineage, _)| lineage),
                is_rewind_hopeless: self.is_rewind_hopeless
                    || lineage.is_some_and(|(_, needs_copy)| needs_copy),
                memory: Memory::default(),
            },
            upstream: is_standby.then(|| Upstream {
                is_streaming: postgres.receiver == Receiver::Streaming,
                silent_ms: now - postgres.heard_at,
            }),
            quorum_contact: quorum_heard_at(postgres).map(moment),
            sync_state: String::new(),
            shutdown_lsn: postgres.shutdown_lsn().filter(|_| is_stopped),
            history: history(postgres, archive),
            notice: None,
            copied_percent: None,
            server_start: None,
            is_disk_hung: false,
        }
    }

    fn server(&self, postgres: &Postgres, archive: &Archive, now: u64) -> Server {
        let role = match postgres.mode {
            Mode::Stopped => return Server::Stopped,
            Mode::Starting { .. } | Mode::Stopping { .. } => return Server::Starting,
            Mode::Up(role) => role,
        };
        let is_in_recovery = role == Role::Standby;
        let end = postgres.position();
        Server::Running(Running {
            is_short_of_settings: false,
            is_in_recovery,
            is_gated: role == Role::Gated,
            timeline: timeline(postgres, archive),
            lsn: end,
            is_replay_over: postgres.is_replay_over,
            replayed: if is_in_recovery { pgaf_core::Lsn(postgres.replayed) } else { end },
            synchronous_standby_names: self.names_in_force(postgres),
            follows: postgres
                .follows
                .filter(|_| is_in_recovery)
                .map(|index| Following { host: address::name_of(index), port: 5432 }),
            receiver: if is_in_recovery { postgres.receiver } else { Receiver::Absent },
            standbys: standbys(postgres, now),
            slots: Vec::new(),
        })
    }

    /// A value that perhaps not all backends follow yet equals none that could be wanted.
    fn names_in_force(&self, postgres: &Postgres) -> String {
        let names = postgres.names.text();
        if names.is_empty() || self.followed_names.as_deref() == Some(names) {
            return names.to_owned();
        }
        format!("{names} (perhaps not yet in force)")
    }

    /// And whether only a new copy helps.
    fn lineage(
        &self,
        postgres: &Postgres,
        server: &Server,
        (index, source): (usize, &Postgres),
        archive: &Archive,
        now: u64,
    ) -> Option<(Lineage, bool)> {
        let (timeline, end) = match server {
            Server::Running(running) if !running.is_in_recovery => return None,
            Server::Running(running) => {
                let is_steady = self.streaming_since.is_some_and(|since| now - since >= STEADY_MS);
                if is_steady && postgres.receiver == Receiver::Streaming && postgres.follows == Some(index) {
                    return Some((Lineage::Behind, false));
                }
                (running.timeline, running.lsn)
            }
            Server::Stopped if postgres.files == Files::Present => {
                (archive.timeline(postgres.end), postgres.end.lsn())
            }
            Server::Stopped | Server::Starting | Server::Unresponsive | Server::Refusing => {
                return None;
            }
        };
        let history = archive.history(source.end);
        let is_ahead = timeline == history.timeline && !source.is_standby() && end > source.end.lsn();
        let own = archive.history(postgres.end);
        let lineage = if is_ahead {
            Lineage::Forked
        } else if own.timeline == timeline {
            history.lineage_of_log(&own, end)
        } else {
            history.lineage_of(timeline, end)
        };
        // pg_rewind tells timelines apart by their numbers alone.
        Some((lineage, lineage == Lineage::Forked && timeline == history.timeline))
    }
}

/// As its files tell it, when they do.
fn history(postgres: &Postgres, archive: &Archive) -> Option<TimelineHistory> {
    if postgres.files != Files::Present {
        return None;
    }
    let history = archive.history(postgres.end);
    (history.timeline == timeline(postgres, archive)).then_some(history)
}

/// As a session or the control file tell it.
fn timeline(postgres: &Postgres, archive: &Archive) -> Timeline {
    match postgres.mode {
        Mode::Up(Role::Writer | Role::Gated) => archive.timeline(postgres.end),
        _ => archive.timeline(postgres.checkpoint).max(Timeline(postgres.received_timeline)),
    }
}

fn data(postgres: &Postgres, archive: &Archive) -> DataDirectory {
    match postgres.files {
        Files::Missing => DataDirectory::Missing,
        Files::Incomplete => DataDirectory::Incomplete,
        Files::Damaged => DataDirectory::Damaged,
        Files::Present => DataDirectory::Present(Cluster {
            system_identifier: 1,
            timeline: archive.timeline(postgres.checkpoint),
            checkpoint: postgres.shutdown_lsn().unwrap_or(postgres.checkpoint.lsn()),
            is_clean: postgres.is_clean && postgres.is_stopped(),
            is_standby: postgres.has_signal,
        }),
    }
}

fn standbys(postgres: &Postgres, now: u64) -> Vec<StreamingStandby> {
    let rows = postgres.walsenders.iter().flatten();
    let mut standbys: Vec<StreamingStandby> = rows
        .map(|it| StreamingStandby {
            node: it.node,
            is_streaming: it.has_caught_up && it.is_fresh(now),
            is_synchronous: it.has_caught_up && postgres.names.has(it.node),
            flushed: it.flushed,
        })
        .collect();
    standbys.sort_unstable_by_key(|standby| standby.node);
    standbys
}

/// When as many standbys as a commit waits for were last heard.
fn quorum_heard_at(postgres: &Postgres) -> Option<u64> {
    let acks = postgres.names.acks();
    let rows = postgres.walsenders.iter().flatten();
    let mut heard: Vec<u64> =
        rows.filter(|it| it.has_caught_up && postgres.names.has(it.node)).map(|it| it.replied_at).collect();
    heard.sort_unstable();
    heard.len().checked_sub(acks.max(1)).map(|index| heard[index])
}
