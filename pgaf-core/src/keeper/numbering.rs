//! The numbers of a keeper's reports.

use crate::id::ReportNumber;

/// Gives each report a higher number than those before, also those of earlier processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numbering(ReportNumber);

impl Numbering {
    /// For this start of the keeper: whoever starts it counts, also beyond its end.
    pub const fn of_start(start: u64) -> Self {
        Self(ReportNumber { start, sequence: 0 })
    }

    /// The number of the next report.
    pub const fn next(&mut self) -> ReportNumber {
        self.0.sequence = self.0.sequence.saturating_add(1);
        self.0
    }

    /// The newest report was not recorded, because one with this number was: starts were forgotten. From now on this
    /// counts as a later one, which is given.
    pub fn overtaken_by(&mut self, number: ReportNumber) -> u64 {
        if number.start >= self.0.start {
            *self = Self::of_start(number.start.saturating_add(1));
        }
        self.0.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn number(start: u64, sequence: u64) -> ReportNumber {
        ReportNumber { start, sequence }
    }

    #[test]
    fn numbers_ascend_also_when_starts_were_forgotten() {
        let mut numbering = Numbering::of_start(3);
        assert_eq!([numbering.next(), numbering.next()], [number(3, 1), number(3, 2)]);
        assert_eq!(numbering.overtaken_by(number(7, 500)), 8);
        assert_eq!(numbering.next(), number(8, 1));
        assert_eq!(numbering.overtaken_by(number(7, 501)), 8);
        assert_eq!(numbering.next(), number(8, 2));
    }
}
