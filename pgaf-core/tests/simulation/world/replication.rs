//! WAL from upstreams to standbys, and the replies.

use pgaf_core::Lsn;
use pgaf_core::keeper::Receiver;

use super::super::network::End;
use super::super::postgres::{Postgres, Walsender};
use super::World;

/// `wal_receiver_timeout`.
const RECEIVER_TIMEOUT_MS: u64 = 2000;
/// What is in flight when the acknowledgements of packets stop to come.
const WINDOW_MS: u64 = 500;

impl World {
    pub(super) fn replicate(&mut self) {
        for index in 0..self.hosts.len() {
            let host = &self.hosts[index];
            if host.is_frozen || !host.postgres.is_standby() {
                continue;
            }
            match host.postgres.follows {
                None => self.hosts[index].postgres.receiver = Receiver::Absent,
                Some(upstream) if self.hosts[index].postgres.receiver == Receiver::Streaming => {
                    self.stream(index, upstream);
                }
                Some(upstream) => self.connect(index, upstream),
            }
        }
        for index in 0..self.hosts.len() {
            self.end_walsenders(index);
        }
    }

    /// Both, to be changed; they are not the same.
    fn pair(&mut self, standby: usize, upstream: usize) -> (&mut Postgres, &mut Postgres) {
        let [standby, upstream] =
            self.hosts.get_disjoint_mut([standby, upstream]).expect("a standby that follows another");
        (&mut standby.postgres, &mut upstream.postgres)
    }

    fn connect(&mut self, index: usize, upstream: usize) {
        let now = self.now;
        let (standby_end, upstream_end) = (End::Host(index), End::Host(upstream));
        let Some(node) = self.hosts[index].node else { return };
        let is_reachable =
            self.network.connects(standby_end, upstream_end) && !self.hosts[upstream].is_frozen;
        let (standby, source) = (&self.hosts[index].postgres, &self.hosts[upstream].postgres);
        let is_let_in = is_reachable && source.admits(node);
        let is_part = is_let_in && self.archive.is_prefix(standby.end, source.end);
        let (standby, source) = self.pair(index, upstream);
        standby.receiver = Receiver::Idle;
        if is_part {
            standby.receiver = Receiver::Streaming;
            standby.heard_at = now;
            source.walsenders[index] =
                Some(Walsender { node, replied_at: now, flushed: Lsn::ZERO, has_caught_up: false });
        }
    }

    fn stream(&mut self, index: usize, upstream: usize) {
        let now = self.now;
        let flows = self.network.passes(End::Host(upstream), End::Host(index));
        let replies = self.network.passes(End::Host(index), End::Host(upstream));
        let is_frozen = self.hosts[upstream].is_frozen;
        // An idle stream is heard at long intervals; a busy one may be slow.
        let (is_idle_heard, is_slow) = (self.random.per_mille(60), self.random.per_mille(200));
        let source = &self.hosts[upstream].postgres;
        let standby = &self.hosts[index].postgres;
        let has_peer = source.sends() && source.walsenders[index].is_some();
        let is_part = self.archive.is_prefix(standby.end, source.end);
        let is_over = now - standby.heard_at >= RECEIVER_TIMEOUT_MS;
        let is_rejected = self.network.rejects(upstream) || self.network.rejects(index);
        let closes = (is_rejected && !flows) || (flows && !is_frozen && !(has_peer && is_part)) || is_over;
        if closes {
            self.hosts[index].postgres.receiver = Receiver::Idle;
            return;
        }
        let sends = flows && !is_frozen && (replies || now - standby.heard_at < WINDOW_MS);
        let next =
            if sends && !is_slow { self.archive.advance(standby.end, source.end, 8) } else { standby.end };
        let timeline = self.archive.timeline(next).0;
        let (standby, source) = self.pair(index, upstream);
        if sends && (is_idle_heard || next != standby.end) {
            standby.heard_at = now;
        }
        standby.end = next;
        standby.received_timeline = standby.received_timeline.max(timeline);
        standby.newest_timeline =
            standby.newest_timeline.max(source.newest_timeline.min(timeline)).max(timeline);
        if replies && !is_frozen {
            source.hears_reply(index, next.lsn(), now);
        }
    }

    /// A walsender ends when its standby says so; when it cannot, by its time-out.
    fn end_walsenders(&mut self, index: usize) {
        if self.hosts[index].is_frozen {
            return;
        }
        for other in 0..self.hosts.len() {
            if self.hosts[index].postgres.walsenders[other].is_none() {
                continue;
            }
            let standby = &self.hosts[other].postgres;
            let is_streaming = standby.is_standby()
                && standby.follows == Some(index)
                && standby.receiver == Receiver::Streaming;
            if !is_streaming && self.network.passes(End::Host(other), End::Host(index)) {
                self.hosts[index].postgres.walsenders[other] = None;
            }
        }
    }
}
