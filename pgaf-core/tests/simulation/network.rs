//! Which packets arrive: each direction between two hosts, and between a host and the monitor, can be cut.

/// All links work at first.
pub(crate) struct Network {
    hosts: usize,
    /// By sender and receiver; the monitor is the last of each.
    is_cut: Vec<bool>,
    /// Hosts in whose name somebody refuses, on the way, what does not get there.
    is_rejected: Vec<bool>,
}

/// Somebody who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Host(usize),
    Monitor,
}

impl Network {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { hosts, is_cut: vec![false; (hosts + 1) * (hosts + 1)], is_rejected: vec![false; hosts] }
    }

    const fn index(&self, from: End, to: End) -> usize {
        self.row(from) * (self.hosts + 1) + self.row(to)
    }

    const fn row(&self, end: End) -> usize {
        match end {
            End::Host(index) => index,
            End::Monitor => self.hosts,
        }
    }

    /// Packets get from here to there.
    pub(crate) fn passes(&self, from: End, to: End) -> bool {
        !self.is_cut[self.index(from, to)]
    }

    /// A connection can be made, and what is sent is acknowledged.
    pub(crate) fn connects(&self, one: End, other: End) -> bool {
        self.passes(one, other) && self.passes(other, one)
    }

    pub(crate) fn set(&mut self, from: End, to: End, passes: bool) {
        let index = self.index(from, to);
        self.is_cut[index] = !passes;
    }

    pub(crate) fn set_both(&mut self, one: End, other: End, passes: bool) {
        self.set(one, other, passes);
        self.set(other, one, passes);
    }

    /// What does not get to this host, or comes from there, is refused in its name.
    pub(crate) fn reject(&mut self, host: usize) {
        self.is_rejected[host] = true;
    }

    /// The host is cut off from the monitor, and refused in its name is what the monitor sends.
    pub(crate) fn rejects(&self, host: usize) -> bool {
        self.is_rejected[host] && !self.connects(End::Host(host), End::Monitor)
    }

    pub(crate) fn heal(&mut self) {
        self.is_cut.fill(false);
        self.is_rejected.fill(false);
    }
}
