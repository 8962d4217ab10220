//! What goes wrong, and how it is put right.

use pgaf_core::keeper::StopMode;

use super::super::network::End;
use super::super::postgres::{Files, Postgres};
use super::World;

/// Faults of which one is drawn.
const KINDS: u64 = 22;
/// How long it is quiet after the rows were restored.
const QUIET_MS: u64 = 15_000;

impl World {
    /// Perhaps a fault, perhaps a command.
    pub(super) fn something_happens(&mut self) {
        if self.now < self.quiet_until {
            return;
        }
        if self.random.per_mille(self.profile.fault_rate) {
            let kind = self.random.below(KINDS);
            let index = self.random.index(self.hosts.len());
            self.fault(kind, index);
        }
        if self.random.per_mille(self.profile.command_rate) {
            self.operator_commands();
        }
    }

    fn fault(&mut self, kind: u64, index: usize) {
        match kind {
            0 | 1 => self.postgres_ends(index),
            2 => self.keeper_ends(index, false),
            3 => self.keeper_ends(index, true),
            4 | 5 => self.keeper_comes_back(index),
            6 => self.freeze(index, true),
            7 | 8 => self.freeze(index, false),
            9 => self.link_breaks(index),
            10 => self.link_heals(index),
            11 => self.is_cut_off(index),
            12 | 13 => self.monitor_link_changes(index),
            14 => self.monitor_goes_or_comes(),
            15 if self.profile.restores_rows => self.rows_are_old(),
            16 if self.profile.loses_nodes && self.random.per_mille(300) => self.disk_dies(index),
            17 if self.random.per_mille(200) => self.power_fails(),
            18 | 19 => self.heal(),
            20 => self.keeper_is_told_to_stop(index),
            21 => self.keeper_hangs(index),
            _ => {}
        }
    }

    fn postgres_ends(&mut self, index: usize) {
        let is_clean = self.random.per_mille(250);
        self.tell(|_| {
            format!("FAULT: Postgres of host {index} {}", if is_clean { "is stopped" } else { "crashes" })
        });
        if is_clean {
            self.hosts[index].postgres.begin_stop(StopMode::Fast, self.now);
        } else {
            self.hosts[index].postgres.crash();
        }
    }

    fn keeper_ends(&mut self, index: usize, with_postgres: bool) {
        self.tell(|_| {
            format!("FAULT: {} {index} ends", if with_postgres { "host" } else { "keeper of host" })
        });
        let host = &mut self.hosts[index];
        host.keeper.dies();
        if with_postgres {
            host.postgres.crash();
            host.is_frozen = false;
        }
    }

    /// A service that was told to stop is started again.
    pub(super) fn keepers_come_back(&mut self) {
        for index in 0..self.hosts.len() {
            self.keeper_comes_back(index);
        }
    }

    fn keeper_comes_back(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if host.node.is_some() && !host.keeper.is_up {
            host.keeper.start(self.now);
            host.able_since = self.now;
            self.tell(|_| format!("keeper of host {index} starts"));
        }
    }

    /// A disk, a log or a name server holds it up; its threads go on.
    fn keeper_hangs(&mut self, index: usize) {
        let until = self.now + self.random.between(1000, 20_000);
        self.tell(|_| format!("FAULT: the loop of the keeper of host {index} hangs until {until} ms"));
        self.hosts[index].keeper.hangs_until = until;
    }

    fn freeze(&mut self, index: usize, is_frozen: bool) {
        if self.hosts[index].is_frozen != is_frozen {
            self.hosts[index].is_frozen = is_frozen;
            self.hosts[index].able_since = self.now;
            self.tell(|_| format!("FAULT: host {index} is {}", if is_frozen { "frozen" } else { "thawed" }));
        }
    }

    fn another(&mut self, index: usize) -> usize {
        (index + 1 + self.random.index(self.hosts.len() - 1)) % self.hosts.len()
    }

    fn link_breaks(&mut self, index: usize) {
        let other = self.another(index);
        let is_one_way = self.random.per_mille(300);
        self.tell(|_| {
            format!(
                "FAULT: nothing from host {index} to {other}{}",
                if is_one_way { "" } else { ", nor back" }
            )
        });
        self.network.set(End::Host(index), End::Host(other), false);
        if !is_one_way {
            self.network.set(End::Host(other), End::Host(index), false);
        }
    }

    fn link_heals(&mut self, index: usize) {
        for other in 0..self.hosts.len() {
            self.network.set_both(End::Host(index), End::Host(other), true);
        }
        self.tell(|_| format!("links of host {index} to the others work"));
    }

    fn is_cut_off(&mut self, index: usize) {
        // Not drawn: the other runs stay what they were.
        let is_rejected = self.now.is_multiple_of(3 * super::tick::TICK_MS);
        let how = if is_rejected { ", and refused in its name" } else { "" };
        self.tell(|_| format!("FAULT: host {index} is cut off{how}"));
        if is_rejected {
            self.network.reject(index);
        }
        for other in 0..self.hosts.len() {
            self.network.set_both(End::Host(index), End::Host(other), false);
        }
        self.network.set_both(End::Host(index), End::Monitor, false);
    }

    fn monitor_link_changes(&mut self, index: usize) {
        let (host, monitor) = (End::Host(index), End::Monitor);
        let (to, from) = match self.random.below(4) {
            0 => (false, false),
            1 => (false, true),
            2 => (true, false),
            _ => (true, true),
        };
        self.tell(|_| format!("FAULT: host {index} to monitor: {to}, back: {from}"));
        self.network.set(host, monitor, to);
        self.network.set(monitor, host, from);
    }

    fn monitor_goes_or_comes(&mut self) {
        if self.monitor.is_up {
            self.monitor.is_up = false;
            self.hosts.iter_mut().for_each(|host| host.keeper.is_disconnected());
            self.tell(|_| "FAULT: the monitor ends".to_owned());
        } else {
            self.monitor.restart(self.now);
            self.tell(|_| "the monitor starts".to_owned());
        }
    }

    /// An operator restores the rows while all nodes can be heard: what happened since the copy was made is known by
    /// those who took part in it alone.
    fn rows_are_old(&mut self) {
        if self.random.per_mille(600) {
            self.monitor.back_up();
            self.tell(|_| "the monitor's rows are copied".to_owned());
        } else if self.monitor.restore() {
            self.tell(|_| "FAULT: the monitor's rows are those of the copy".to_owned());
            self.hosts.iter_mut().for_each(|host| host.keeper.is_disconnected());
            self.heal();
            self.quiet_until = self.now + QUIET_MS;
        }
    }

    fn disk_dies(&mut self, index: usize) {
        self.tell(|_| format!("FAULT: the disk of host {index} dies"));
        self.has_lost_nodes = true;
        let count = self.hosts.len();
        let is_empty = self.random.per_mille(500);
        let host = &mut self.hosts[index];
        host.postgres.crash();
        let files = if is_empty { Files::Missing } else { Files::Damaged };
        host.postgres = Postgres::without_data(count);
        host.postgres.files = files;
    }

    fn power_fails(&mut self) {
        for index in 0..self.hosts.len() {
            self.keeper_ends(index, true);
        }
    }

    /// Everything that is there works again; who is gone stays gone.
    pub(super) fn heal(&mut self) {
        self.tell(|_| "healed".to_owned());
        self.network.heal();
        if !self.monitor.is_up {
            self.monitor.restart(self.now);
        }
        for index in 0..self.hosts.len() {
            self.freeze(index, false);
            self.hosts[index].keeper.hangs_until = 0;
            self.keeper_comes_back(index);
        }
    }
}
