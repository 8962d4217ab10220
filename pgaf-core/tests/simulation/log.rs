//! The story of one run, for people: silent unless it is replayed.

pub(crate) struct Log {
    is_told: bool,
}

impl Log {
    pub(crate) const fn new(is_told: bool) -> Self {
        Self { is_told }
    }

    pub(crate) fn tell(&self, now: u64, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>8.2} s  {}", now as f64 / 1000.0, what());
        }
    }
}
