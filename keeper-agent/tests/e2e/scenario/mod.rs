//! What must happen, one file a subject. A scenario gets a cluster that is up, breaks it, and says what must hold
//! afterwards; its name says what it is about.

mod bad_input;
mod clock;
mod data_directory;
mod disk;
mod extension;
mod keeper_process;
mod lifecycle;
mod monitor_lost;
mod postgres_process;
mod primary_lost;
mod restart;
mod secrets;
mod security;
mod standby_lost;

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
        standby_lost::scenarios(),
        monitor_lost::scenarios(),
        restart::scenarios(),
        security::scenarios(),
        secrets::scenarios(),
        postgres_process::scenarios(),
        data_directory::scenarios(),
        keeper_process::scenarios(),
        clock::scenarios(),
        disk::scenarios(),
        extension::scenarios(),
        lifecycle::scenarios(),
        bad_input::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn two_nodes() -> Setup {
    Setup::nodes(2)
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
