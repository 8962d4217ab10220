//! What kind of run a seed is.

use super::random::Random;

/// Chosen once, before the run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Hosts, each with a node at first.
    pub(crate) nodes: usize,
    /// Until then nothing goes wrong: most groups are whole before that.
    pub(crate) quiet_ms: u64,
    /// How long things go wrong.
    pub(crate) faults_ms: u64,
    /// Faults in a thousand ticks.
    pub(crate) fault_rate: u64,
    /// Commands of operators in a thousand ticks.
    pub(crate) command_rate: u64,
    /// Commits that each primary is asked for in a thousand ticks.
    pub(crate) commit_rate: u64,
    /// An operator may give up acknowledged commits: then they are not counted.
    pub(crate) allows_data_loss: bool,
    /// Disks die, and nodes are dropped.
    pub(crate) loses_nodes: bool,
    /// An operator puts back older rows of the monitor.
    pub(crate) restores_rows: bool,
    /// The group is one of workers in a Citus formation: candidates ask a coordinator to hold writes.
    pub(crate) is_worker_group: bool,
    /// A request that its keeper has given up may reach the monitor after a newer one.
    pub(crate) has_overtaken_reports: bool,
}

/// Overrides by environment variables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) nodes: Option<usize>,
    /// Of a thousand runs, so many restore older rows of the monitor.
    pub(crate) restores: u64,
    /// In all runs, and not in one of four.
    pub(crate) has_overtaken_reports: bool,
}

/// What is chosen when nobody says how many nodes there are.
const MOST_NODES: u64 = 7;

impl Profile {
    pub(crate) fn choose(random: &mut Random, wishes: Wishes) -> Self {
        // Small groups are the usual ones, and fail faster.
        let most = if random.per_mille(700) { 4 } else { MOST_NODES };
        let nodes = random.between(2, most + 1) as usize;
        Self {
            nodes: wishes.nodes.unwrap_or(nodes),
            quiet_ms: if random.per_mille(700) { 8000 } else { 0 },
            faults_ms: random.between(15_000, 60_000),
            fault_rate: random.between(5, 80),
            command_rate: random.below(20),
            commit_rate: random.between(20, 300),
            allows_data_loss: random.per_mille(80),
            loses_nodes: random.per_mille(300),
            restores_rows: random.per_mille(wishes.restores),
            is_worker_group: false,
            has_overtaken_reports: random.per_mille(250) || wishes.has_overtaken_reports,
        }
    }
}
