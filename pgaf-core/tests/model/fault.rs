//! What goes wrong, and what mends it.

use pgaf_core::keeper::StopMode;

use super::action::Action;
use super::keeper::OLDEST_TICKS;
use super::server::{Data, Server};
use super::story::Chapter;
use super::world::World;

impl World {
    pub(crate) fn fault(&mut self, fault: &Action) -> Option<()> {
        match fault {
            // What mends costs nothing.
            Action::KeeperStarts(index) if !self.hosts[*index].keeper.is_up => {
                self.hosts[*index].keeper.restart();
                return Some(());
            }
            Action::Thaw(index) if self.hosts[*index].is_frozen => {
                self.hosts[*index].is_frozen = false;
                return Some(());
            }
            Action::Mend => {
                self.cuts.clear();
                self.hosts.iter_mut().for_each(|host| (host.sees_monitor, host.is_rejected) = (true, false));
                return Some(());
            }
            Action::MonitorStarts if !self.is_monitor_up => {
                self.story.tell(|| Chapter::Restarted);
                self.start_monitor();
                return Some(());
            }
            _ => self.pay_fault()?,
        }
        match *fault {
            Action::PostgresCrashes(index) => {
                let host = &mut *self.hosts[index];
                let is_noticed = host.server.is_running() && host.keeper.is_up && !host.is_frozen;
                host.server.stop(StopMode::Immediate);
                if is_noticed {
                    host.keeper.loses_postgres();
                }
            }
            Action::KeeperDies(index) => self.keeper_dies(index),
            Action::HostDies(index) => {
                self.keeper_dies(index);
                self.hosts[index].server.stop(StopMode::Immediate);
            }
            Action::DataIsLost(index) => {
                self.hosts[index].server.stop(StopMode::Immediate);
                self.hosts[index].server = Server::new(Data::Incomplete);
            }
            Action::Freeze(index) if !self.hosts[index].is_frozen => self.hosts[index].is_frozen = true,
            Action::Cut(from, by) if !self.cuts.contains(&(from, by)) => {
                self.cuts.push((from, by));
                self.cuts.sort_unstable();
            }
            Action::CutFromMonitor(index) => self.hosts[index].sees_monitor = false,
            Action::RejectMonitor(index) => {
                let host = &mut *self.hosts[index];
                (host.sees_monitor, host.is_rejected) = (false, true);
            }
            Action::Isolate(index) => self.isolate(index),
            Action::AnotherLeads(left) => self.change_leader(left),
            Action::MonitorDies if self.is_monitor_up => self.is_monitor_up = false,
            Action::BackUpRows if self.backup.is_none() => {
                self.story.tell(|| Chapter::BackedUp);
                self.backup = Some(self.group.clone());
            }
            Action::RestoreRows => {
                self.group = self.backup.take()?;
                self.story.tell(|| Chapter::Restored);
                self.start_monitor();
            }
            _ => return None,
        }
        Some(())
    }

    pub(crate) fn isolate(&mut self, index: usize) {
        let others = (0..self.hosts.len()).filter(|other| *other != index);
        self.cuts = others.flat_map(|other| [(index, other), (other, index)]).collect();
        self.cuts.sort_unstable();
        self.hosts[index].sees_monitor = false;
    }

    fn keeper_dies(&mut self, index: usize) {
        let host = &mut *self.hosts[index];
        host.has_died |= host.keeper.is_up;
        host.keeper.die();
    }

    pub(crate) fn start_monitor(&mut self) {
        self.is_monitor_up = true;
        self.uptime = 0;
        for host in &mut self.hosts {
            host.silent = 0;
            host.has_reported = false;
            host.has_died = false;
            host.ended = None;
            host.goal_age = OLDEST_TICKS + 1;
        }
    }
}
