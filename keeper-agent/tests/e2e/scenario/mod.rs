//! What must happen, one file a subject. A scenario gets a cluster that is up, breaks it, and says what must hold
//! afterwards; its name says what it is about.

mod addresses;
mod bad_input;
mod branch;
mod citus;
mod citus_coordinator_lost;
mod citus_held_writes;
mod citus_node_table;
mod citus_registration;
mod citus_switchover;
mod citus_two_phase_commit;
mod citus_worker_lost;
mod clock;
mod data_directory;
mod disk;
mod drivers;
mod election;
mod extension;
mod group_of_four;
mod group_of_three;
mod habits;
mod held_up;
mod host_gone;
mod keeper_process;
mod lifecycle;
mod maintenance;
mod monitor_lost;
mod monitor_replaced;
mod monitors;
mod postgres_process;
mod primary_lost;
mod quorum;
mod repair;
mod restart;
mod secrets;
mod security;
mod settings;
mod standby_lost;
mod upgrade;
mod versions;

use std::time::Duration;

use anyhow::Result;

use crate::harness::{Cluster, Setup};

/// How long a group may take to have somebody who serves writes again.
const TAKEOVER: Duration = Duration::from_secs(30);
/// How long it may take until everything is as it should be.
const WHOLE: Duration = Duration::from_secs(60);
/// How long something may take that nothing has to be waited for.
const SOON: Duration = Duration::from_secs(10);

/// One test.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) setup: fn() -> Setup,
    pub(crate) body: fn(&mut Cluster) -> Result<()>,
}

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    [
        primary_lost::scenarios(),
        host_gone::scenarios(),
        standby_lost::scenarios(),
        group_of_three::scenarios(),
        election::scenarios(),
        branch::scenarios(),
        quorum::scenarios(),
        group_of_four::scenarios(),
        settings::scenarios(),
        maintenance::scenarios(),
        monitor_lost::scenarios(),
        monitor_replaced::scenarios(),
        monitors::scenarios(),
        restart::scenarios(),
        addresses::scenarios(),
        security::scenarios(),
        secrets::scenarios(),
        postgres_process::scenarios(),
        data_directory::scenarios(),
        repair::scenarios(),
        keeper_process::scenarios(),
        habits::scenarios(),
        held_up::scenarios(),
        clock::scenarios(),
        disk::scenarios(),
        drivers::scenarios(),
        extension::scenarios(),
        upgrade::scenarios(),
        lifecycle::scenarios(),
        bad_input::scenarios(),
        versions::scenarios(),
        citus_registration::scenarios(),
        citus_switchover::scenarios(),
        citus_worker_lost::scenarios(),
        citus_coordinator_lost::scenarios(),
        citus_held_writes::scenarios(),
        citus_two_phase_commit::scenarios(),
        citus_node_table::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn two_nodes() -> Setup {
    Setup::nodes(2)
}

fn three_nodes() -> Setup {
    Setup::nodes(3)
}

/// n1 and n2 as they come, n3 asynchronous, n4 never primary.
fn four_nodes() -> Setup {
    Setup::nodes(4).with("n3", &["--replication-quorum", "false"]).with("n4", &["--candidate-priority", "0"])
}

fn one_node() -> Setup {
    Setup::nodes(1)
}

fn monitor_only() -> Setup {
    Setup::nodes(0)
}

/// The scenarios of a file: a name, what it starts with, what it does.
macro_rules! scenarios {
    ($($setup:ident: $($body:ident),+ $(,)?;)+) => {
        pub(super) fn scenarios() -> Vec<$crate::scenario::Scenario> {
            vec![$($(
                $crate::scenario::Scenario {
                    name: stringify!($body),
                    setup: $setup,
                    body: $body,
                },
            )+)+]
        }
    };
}
use scenarios;
