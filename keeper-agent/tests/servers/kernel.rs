//! Kernels that lack something.

use anyhow::Result;
use nix::libc;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;

cases! {
    0:
        a_kernel_without_descriptors_of_processes;
}

fn a_kernel_without_descriptors_of_processes(bed: &mut Bed) -> Result<()> {
    bed.start_monitor(&[])?;
    for name in ["n1", "n2"] {
        bed.prepare(name)?.denied =
            vec![libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal];
        let args = bed.create_args(name, &[]);
        bed.node_mut(name).start(&[args, vec!["--run".to_owned()]].concat())?;
        if name == "n1" {
            bed.wait(&[("n1", "single")])?;
            bed.node("n1").sql(crate::harness::workload::TABLE_DDL)?;
        }
    }
    bed.wait_whole()?;
    let writer = bed.writer()?;
    // Both are noticed: a death, and that of an adopted server.
    bed.node("n1").kill_postmaster()?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    bed.node_mut("n2").kill_keeper()?;
    bed.node_mut("n2").run()?;
    bed.wait_whole()?;
    bed.node("n2").kill_postmaster()?;
    bed.wait_primary("n1")?;
    bed.wait_whole()?;
    writer.wait_for_ack(WITHIN)?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    bed.wait_whole()?;
    bed.verify("n2", &[writer.stop()])
}
