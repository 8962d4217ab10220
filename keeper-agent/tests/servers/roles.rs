//! The role of replication, and what standbys need on the primary, changed by somebody else.

use anyhow::Result;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;

cases! {
    2:
        a_replication_role_that_is_altered_is_put_right,
        a_slot_that_is_dropped_is_made_again;
}

/// The standby comes back to a primary that would refuse it; then it takes over.
fn come_back_and_fail_over(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n2").run()?;
    bed.wait_whole()?;
    bed.fail_over()
}

fn a_replication_role_that_is_altered_is_put_right(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n2").stop()?;
    bed.wait(&[("n1", "wait_primary")])?;
    let change = "nologin noreplication connection limit 0 valid until '2020-01-01'";
    bed.node("n1").sql(&format!("alter role pgautofailover_replicator {change}"))?;
    bed.node("n1").wait_said("NOLOGIN, NOREPLICATION, CONNECTION LIMIT 0", WITHIN)?;
    come_back_and_fail_over(bed)
}

fn a_slot_that_is_dropped_is_made_again(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n2").stop()?;
    bed.wait(&[("n1", "wait_primary")])?;
    bed.node("n1").sql("select pg_drop_replication_slot('pgautofailover_standby_2')")?;
    come_back_and_fail_over(bed)
}
