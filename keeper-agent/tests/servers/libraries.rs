//! Libraries that somebody else wants preloaded.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    2:
        a_monitor_keeps_its_library_beside_those_of_its_owner,
        a_monitor_without_its_extension_says_so;
}

fn a_monitor_keeps_its_library_beside_those_of_its_owner(bed: &mut Bed) -> Result<()> {
    bed.monitor.alter_system("shared_preload_libraries", "'auto_explain'")?;
    bed.monitor.restart()?;
    let libraries = wait_for("the monitor to be back", WITHIN, || {
        bed.monitor.setting("shared_preload_libraries").map(Some)
    })?;
    ensure!(libraries.contains("auto_explain") && libraries.contains("pgautofailover"), "{libraries}");
    bed.wait_whole()?;
    let writer = bed.writer()?;
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    bed.verify("n2", &[writer.stop()])
}

fn a_monitor_without_its_extension_says_so(bed: &mut Bed) -> Result<()> {
    bed.monitor.sql_as("postgres", "pg_auto_failover", "drop extension pgautofailover cascade")?;
    bed.monitor.wait_said("this monitor cannot do its work", WITHIN)?;
    let status = bed.monitor.stop()?;
    ensure!(status.code() == Some(13), "{status}");
    Ok(())
}
