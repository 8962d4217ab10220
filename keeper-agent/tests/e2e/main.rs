//! End to end: real monitors, keepers and servers in network namespaces, faults, and writers whose acknowledged
//! rows are counted. `docs/testing.md` says how to run one scenario and how to read a failure.

mod harness;

use anyhow::Result;
use harness::{Cluster, Setup, Tools};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    harness::sweep_dead_runs();
    harness::clean_up_on_signals()?;
    let r = main2();
    harness::sweep(std::process::id());
    r
}
fn main2() -> Result<()> {
    let tools = match std::env::args().nth(1).as_deref() {
        Some("peer") => Tools::peer()?,
        _ => Tools::ours()?,
    };
    let t = Instant::now();
    let mut cluster = Cluster::start(&tools, Setup::nodes(2))?;
    eprintln!("up after {:?}", t.elapsed());
    let writer = cluster.writer()?;
    for what in std::env::args().skip(2) {
        let p = cluster.primary()?;
        let since = Instant::now();
        match what.as_str() {
            "switch" => {
                println!("{}", cluster.monitor.autoctl(&["perform", "switchover"])?.success()?);
            }
            "kill" => cluster.host(&p)?.kill_postmaster()?,
            "control" => cluster.host(&p)?.lose_pg_control()?,
            "host" => cluster.host_mut(&p)?.kill_everything()?,
            "cut" => cluster.host(&p)?.link.cut()?,
            "freeze" => cluster.host(&p)?.freeze()?,
            _ => panic!(),
        }
        harness::wait_for("new primary", Duration::from_secs(120), || {
            Ok((cluster.primary()? != p).then_some(()))
        })?;
        writer.wait_for_ack(Duration::from_secs(30))?;
        eprintln!("{what}: pause {:?}", writer.ledger().longest_pause(since));
        match what.as_str() {
            "host" => cluster.host_mut(&p)?.run()?,
            "cut" => cluster.host(&p)?.link.restore()?,
            "freeze" => cluster.host(&p)?.thaw()?,
            _ => {}
        }
        if let Err(e) = cluster.wait_whole(Duration::from_secs(120)) {
            println!("{}", cluster.dump());
            return Err(e);
        }
        eprintln!("whole after {:?}", since.elapsed());
    }
    let l = writer.stop();
    eprintln!("{} acks, errors {:?}", l.acks.len(), l.errors.iter().map(|e| &e.1).collect::<Vec<_>>());
    cluster.verify(&[l])?;
    println!("unavailable: {:?}", harness::unavailable());
    Ok(())
}
