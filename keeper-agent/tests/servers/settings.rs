//! Settings of the owner that are not ours.

use anyhow::Result;

use crate::bed::Bed;
use crate::case::cases;

cases! {
    2:
        a_plain_group_survives_its_primary;
}

fn a_plain_group_survives_its_primary(bed: &mut Bed) -> Result<()> {
    let writer = bed.writer()?;
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(crate::bed::WITHIN)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}
