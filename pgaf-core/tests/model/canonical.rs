//! Situations that differ in nothing that matters are made one.

use pgaf_core::{Epoch, Node, NodeId, ReportNumber};

use super::world::World;

/// The number of a report that its keeper has given up, as soon as nothing depends on it but which ones are higher.
const LATE: ReportNumber = ReportNumber { start: 1, sequence: 0 };

impl World {
    /// The situation by which all that are equal to it are known.
    pub(crate) fn make_canonical(&mut self) {
        for index in 0..self.hosts.len() {
            self.renumber_epochs(index);
            self.renumber_reports(index);
        }
        self.hosts.iter_mut().for_each(super::shared::Shared::unify);
        self.group.unify();
        for rows in self.backup.iter_mut().chain(&mut self.deposed) {
            rows.unify();
        }
    }

    /// Numbers of assignments only matter in comparison: those of each node go from 0 on.
    fn renumber_epochs(&mut self, index: usize) {
        let mut known = self.epochs(index);
        known.sort_unstable();
        known.dedup();
        if known.iter().enumerate().all(|(number, epoch)| *epoch == Epoch(number as i64)) {
            return;
        }
        self.each_epoch(index, &mut |epoch| {
            *epoch = Epoch(known.iter().position(|known| *known == *epoch).unwrap_or(0) as i64);
        });
    }

    fn epochs(&self, index: usize) -> Vec<Epoch> {
        let host = &self.hosts[index];
        let of_host = [
            host.answer.as_ref().map(|(_, answer)| answer.assignment.epoch),
            host.stray.as_ref().map(|report| report.detail.epoch),
        ];
        let of_rows = self.rows(index).flat_map(|node| [node.goal_epoch, node.reported_epoch]);
        host.keeper.epochs().chain(of_host.into_iter().flatten()).chain(of_rows).collect()
    }

    fn each_epoch(&mut self, index: usize, visit: &mut dyn FnMut(&mut Epoch)) {
        let host = &mut *self.hosts[index];
        host.keeper.renumber_epochs(&mut *visit);
        if let Some((_, answer)) = &mut host.answer {
            visit(&mut answer.assignment.epoch);
        }
        if let Some(report) = &mut host.stray {
            visit(&mut report.detail.epoch);
        }
        self.each_row(index, &mut |node| {
            visit(&mut node.goal_epoch);
            visit(&mut node.reported_epoch);
        });
    }

    /// Of the numbers of reports it matters only whether the one that is late was overtaken.
    fn renumber_reports(&mut self, index: usize) {
        let limit = self.hosts[index].stray.as_ref().and_then(|report| report.detail.number);
        let canonical = |node: &Node| {
            node.report_number.filter(|number| limit.is_some_and(|limit| *number >= limit)).map(|_| LATE)
        };
        if self.rows(index).any(|node| node.report_number != canonical(node)) {
            self.each_row(index, &mut |node| node.report_number = canonical(node));
        }
        if limit.is_some_and(|number| number != LATE)
            && let Some(report) = &mut self.hosts[index].stray
        {
            report.detail.number = Some(LATE);
        }
    }

    /// The rows of a host's node: that of the monitor, that of the copy, and that of a monitor that led before.
    fn rows(&self, index: usize) -> impl Iterator<Item = &Node> {
        let id = NodeId(index as i64 + 1);
        let groups = std::iter::once(&self.group).chain(self.backup.as_ref()).chain(self.deposed.as_ref());
        groups.flat_map(|group| &group.nodes).filter(move |node| node.id == id)
    }

    fn each_row(&mut self, index: usize, visit: &mut dyn FnMut(&mut Node)) {
        let id = NodeId(index as i64 + 1);
        let groups =
            std::iter::once(&mut self.group).chain(self.backup.as_mut()).chain(self.deposed.as_mut());
        groups.flat_map(|group| &mut group.nodes).filter(|node| node.id == id).for_each(visit);
    }
}
