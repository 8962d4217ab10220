//! Commits: written and flushed here, then acknowledged when enough standbys have flushed them, in order.

use pgaf_core::Lsn;

use super::super::wal::{Archive, Position};
use super::names::Names;
use super::{Mode, Postgres, Role};

impl Postgres {
    /// A client commits; the answer may take a while.
    pub(crate) fn commit(&mut self, archive: &mut Archive) {
        self.end = archive.append(self.end);
        self.waiting.push(self.end);
    }

    /// The newest commit that is acknowledged now, and how many are.
    pub(crate) fn acknowledge(&mut self, is_late_backend: bool) -> Option<(Position, usize)> {
        if self.mode != Mode::Up(Role::Writer) || self.waiting.is_empty() {
            return None;
        }
        // While the value changes, some backends follow the old one.
        let names = self.older_names.as_ref().filter(|_| is_late_backend).unwrap_or(&self.names);
        let released = self.flushed_by_quorum(names);
        let count = self.waiting.iter().take_while(|commit| commit.lsn() <= released).count();
        let newest = self.waiting.drain(..count).next_back()?;
        Some((newest, count))
    }

    /// Up to where enough of the named standbys have flushed.
    fn flushed_by_quorum(&self, names: &Names) -> Lsn {
        if !names.is_synchronous() {
            return Lsn(u64::MAX);
        }
        let mut flushed: Vec<Lsn> = self
            .walsenders
            .iter()
            .flatten()
            .filter(|it| it.has_caught_up && names.has(it.node))
            .map(|it| it.flushed)
            .collect();
        flushed.sort_unstable();
        flushed.len().checked_sub(names.acks()).map_or(Lsn::ZERO, |index| flushed[index])
    }
}
