//! The healed phase: the group becomes whole, or waits for what is gone and says so.

use super::super::invariants::{check_holds, check_plans, check_whole};
use super::super::wal::Position;
use super::World;

/// A group that is not whole after this long never is.
const PATIENCE_MS: u64 = 120_000;
/// What has been whole for so long stays so.
const STABLE_MS: u64 = 3000;
/// An operator who may lose commits does so after so long.
const GIVE_UP_MS: u64 = 20_000;
/// A group that has waited for so long for what is gone will go on waiting.
const WAITED_MS: u64 = 40_000;

impl World {
    pub(super) fn await_the_end(&mut self) -> Result<(), String> {
        let healed_at = self.now;
        let mut whole_since = None;
        let mut acknowledged_before = 0;
        loop {
            self.tick();
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            if self.now.is_multiple_of(1000) {
                self.end_maintenance();
                self.pause_failover(false);
                self.keepers_come_back();
            }
            if self.now.is_multiple_of(GIVE_UP_MS) {
                self.give_up_waiting();
            }
            let verdict = check_whole(&self.monitor.group);
            if verdict.is_err() {
                whole_since = None;
            } else if whole_since.is_none() {
                whole_since = Some(self.now);
                acknowledged_before = self.acknowledged.count;
            }
            let is_stable = whole_since.is_some_and(|since| self.now - since >= STABLE_MS);
            if is_stable && self.acknowledged.count > acknowledged_before {
                return self.check_end();
            }
            let waited = self.now - healed_at;
            if waited >= WAITED_MS && verdict.is_err() && self.may_wait() {
                return Ok(());
            }
            if waited >= PATIENCE_MS && verdict.is_err() && self.has_twin_timelines() {
                return Ok(());
            }
            if waited >= PATIENCE_MS {
                check_plans(&self.hosts, self.now)?;
                verdict?;
                return Err("the group is whole and acknowledges nothing".to_owned());
            }
        }
    }

    /// Two nodes were promoted from the same place, one of them in vain: Postgres gives both timelines the same number,
    /// and nobody can tell them apart. Only who gives up commits gets so far.
    fn has_twin_timelines(&self) -> bool {
        let ends: Vec<_> = self.hosts.iter().map(|host| host.postgres.end).collect();
        let are_twins = |one: &Position, two: &Position| {
            one.branch != two.branch && self.archive.history(*one) == self.archive.history(*two)
        };
        self.profile.allows_data_loss && ends.iter().any(|one| ends.iter().any(|two| are_twins(one, two)))
    }

    fn check_end(&self) -> Result<(), String> {
        check_plans(&self.hosts, self.now)?;
        check_holds(&self.hosts)?;
        if self.profile.allows_data_loss {
            return Ok(());
        }
        let primary = self.hosts.iter().find(|host| host.node.is_some() && host.postgres.is_writer());
        let primary = primary.ok_or("no node accepts writes")?;
        self.acknowledged.check(&self.archive, primary.postgres.end, "the primary at the end")
    }

    /// Somebody is gone who may have had what nobody else has, or the rows do not say it, and the monitor says what it
    /// waits for; or the one that
    /// is told to write has lost its data, and only a person can help.
    fn may_wait(&self) -> bool {
        let is_blocked = check_plans(&self.hosts, self.now).is_err();
        let group = &self.monitor.group;
        let may_lack = self.has_lost_nodes || self.profile.restores_rows;
        may_lack
            && (group.waits_for.as_deref().is_some_and(|text| text.contains("no primary"))
                || (is_blocked && !group.is_election_possible()))
    }
}
