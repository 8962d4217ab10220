//! The background processes: nothing waits for somebody's next report.
//!
//! A *launcher*, connected to no database, waits until the monitor's database is there and starts the *worker* in
//! it, again whenever the worker has ended. The worker probes every node ([`probe`]), writes what changed, and
//! steps the groups whose health changed or in which an age crossed a time-out ([`groups`]). Beside that it deletes old
//! events ([`retention`]). It leaves its database
//! as soon as somebody wants to drop it: a session of ours never stands in the way.

mod arranged;
mod groups;
mod launcher;
mod names;
mod probe;
mod prober;
mod retention;
mod session;
mod ticker;

use std::time::Duration;

use pgrx::bgworkers::BackgroundWorkerBuilder;

/// How soon Postgres starts the launcher again when it has died, and the launcher the worker.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The file in which Postgres finds this code. Its name is not that of 2.x, whose library a server that was started before
/// an upgrade still loads.
const LIBRARY: &str = "pgautofailover3";

/// Asks the postmaster for the launcher.
pub(crate) fn register() {
    BackgroundWorkerBuilder::new("pgautofailover launcher")
        .set_library(LIBRARY)
        .set_function("pgautofailover_launcher_main")
        .enable_spi_access()
        .set_restart_time(Some(RESTART_AFTER))
        .load();
}
