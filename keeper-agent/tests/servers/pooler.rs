//! A real PgBouncer: its clients wait while the primary changes, and see no error.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{run_to_end, signal, wait_child, wait_for};
use crate::node::Node;
use crate::pgbouncer::PgBouncer;

const SWITCHOVERS: usize = 10;
const CLIENTS: &str = "16";
/// No transaction takes longer, on a machine that is not busy with other tests.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// And on one that is.
const BUSY: u32 = 4;
/// How soon after the promotion the pooler should know the new primary.
const REPOINTED_WITHIN: Duration = Duration::from_millis(200);
/// A pooler that does not answer holds up nothing longer than a second.
const HUNG_POOLER: Duration = Duration::from_secs(5);

cases! {
    2:
        clients_of_a_pooler_see_no_error_over_ten_switchovers,
        a_pooler_follows_the_loss_of_the_primary,
        a_pooler_that_hangs_holds_up_nothing,
        a_pooler_that_was_restarted_is_told_again;
}

/// `pgbench` through the pooler, with a line for each transaction.
struct Bench {
    process: Child,
}

impl Bench {
    fn start(bed: &Bed, pooler: &PgBouncer) -> Result<Self> {
        let n1 = bed.node("n1");
        n1.sql("create table bench (client int, value bigint)")?;
        let script = bed.monitor.directory.join("bench.sql");
        fs::write(&script, "insert into bench values (:client_id, 1);\n")?;
        let (port, script) = (pooler.port.to_string(), script.display().to_string());
        let args = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-n",
            "-c",
            CLIENTS,
            "-j",
            "2",
            "-T",
            "600",
            "-R",
            "400",
            "-f",
            &script,
            "-l",
            "--log-prefix",
            "bench",
            "app",
        ];
        let process = bed
            .monitor
            .command("pgbench", &args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(bed.monitor.directory.join("bench.err"))?)
            .spawn()
            .context("pgbench")?;
        let bench = Self { process };
        wait_for("transactions", WITHIN, || Ok((Self::rows(n1)? > 100).then_some(())))?;
        Ok(bench)
    }

    fn rows(node: &Node) -> Result<u64> {
        Ok(node.sql("select count(*) from bench")?.parse()?)
    }

    /// Ends it; what it complained about must be nothing. The longest time that a transaction took, and how many there
    /// were.
    fn stop(mut self, bed: &Bed) -> Result<(Duration, u64)> {
        ensure!(self.process.try_wait()?.is_none(), "pgbench has ended: {}", complaints(bed)?);
        signal(self.process.id() as i32, Signal::SIGTERM)?;
        wait_child(&mut self.process, WITHIN)?;
        let complaints = complaints(bed)?;
        ensure!(complaints.is_empty(), "clients saw errors: {complaints}");
        let (mut longest, mut count) = (0, 0);
        for entry in fs::read_dir(&bed.monitor.directory)? {
            let path = entry?.path();
            let is_log = path.file_name().is_some_and(|name| {
                name.to_string_lossy().starts_with("bench.")
                    && path != bed.monitor.directory.join("bench.sql")
                    && path != bed.monitor.directory.join("bench.err")
            });
            if !is_log {
                continue;
            }
            let log = fs::read_to_string(&path)?;
            // The last line may have been cut when it ended.
            let lines: Vec<&str> = log.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
            for line in lines {
                // With a rate, a transaction's time counts from when it was due.
                let time: u64 = line.split(' ').nth(2).context("a time")?.parse()?;
                longest = longest.max(time);
                count += 1;
            }
        }
        ensure!(count > 0, "pgbench has logged nothing");
        Ok((Duration::from_micros(longest), count))
    }
}

fn complaints(bed: &Bed) -> Result<String> {
    let text = fs::read_to_string(bed.monitor.directory.join("bench.err"))?;
    let is_complaint =
        |line: &&str| line.contains("error") || line.contains("aborted") || line.contains("FATAL");
    Ok(text.lines().filter(is_complaint).collect::<Vec<_>>().join("\n"))
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn clients_of_a_pooler_see_no_error_over_ten_switchovers(bed: &mut Bed) -> Result<()> {
    let pooler = PgBouncer::start(bed)?;
    let bench = Bench::start(bed, &pooler)?;
    for number in 1..=SWITCHOVERS {
        bed.monitor.autoctl(&["perform", "switchover"])?;
        let name = if number % 2 == 1 { "n2" } else { "n1" };
        bed.wait_primary(name)?;
        bed.wait_whole()?;
        pooler.wait_target(bed, name)?;
        let before = Bench::rows(bed.node(name))?;
        wait_for("transactions to go on", WITHIN, || {
            Ok((Bench::rows(bed.node(name))? > before).then_some(()))
        })?;
    }
    let (longest, count) = bench.stop(bed)?;
    println!("{SWITCHOVERS} switchovers, {count} transactions, none failed, the longest took {longest:?}");
    let rows = Bench::rows(bed.node("n1"))?;
    ensure!(rows >= count, "{count} transactions were acknowledged, and {rows} rows are there");
    ensure!(longest < LONGEST_PAUSE * BUSY, "a transaction took {longest:?}");
    Ok(())
}

/// How long the newest step with these words took, in the words of the keeper.
fn took(node: &Node, step: &str) -> Result<Duration> {
    let said = node.said()?;
    let line = said.lines().rev().find(|line| line.contains(step) && line.contains("done after"));
    let words = line.and_then(|line| line.split_once("done after ")).map(|(_, rest)| rest);
    let number = words.and_then(|words| words.split_once(" ms")).map(|(number, _)| number);
    match number {
        Some(number) => Ok(Duration::from_millis(number.parse()?)),
        None => bail!("{} has not said how long \"{step}\" took", node.name),
    }
}

fn a_pooler_follows_the_loss_of_the_primary(bed: &mut Bed) -> Result<()> {
    let pooler = PgBouncer::start(bed)?;
    let through = |bed: &Bed| {
        let mut client = pooler.client(&bed.monitor, "select inet_server_port()");
        run_to_end(&mut client, WITHIN)?.success()
    };
    ensure!(through(bed)?.trim() == bed.node("n1").port.to_string());
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    pooler.wait_target(bed, "n2")?;
    let time = took(bed.node("n2"), "have the poolers send clients here")?;
    println!("the pooler was repointed {time:?} after the promotion");
    ensure!(time < REPOINTED_WITHIN * BUSY, "the pooler was repointed {time:?} after the promotion");
    wait_for("a client of the pooler to reach n2", WITHIN, || {
        let port = through(bed)?;
        ensure!(port.trim() == bed.node("n2").port.to_string(), "it reaches port {port}");
        Ok(Some(()))
    })
}

fn a_pooler_that_hangs_holds_up_nothing(bed: &mut Bed) -> Result<()> {
    let pooler = PgBouncer::start(bed)?;
    pooler.freeze(true)?;
    let writer = bed.writer()?;
    let since = Instant::now();
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    writer.wait_for_ack(WITHIN)?;
    bed.wait_whole()?;
    let ledger = writer.stop();
    let pause = ledger.longest_pause(since);
    println!("with a pooler that hangs, clients that do without it waited for {pause:?}");
    ensure!(pause < HUNG_POOLER, "clients waited for {pause:?}");
    bed.verify("n2", &[ledger])?;
    let said = bed.node("n1").said()?;
    ensure!(said.contains("did not finish within") || said.contains("got no answer within"), "{said}");
    // Once it goes on, it is told.
    pooler.freeze(false)?;
    pooler.wait_target(bed, "n2")?;
    // One transaction that does not end keeps no switchover waiting either.
    let mut client = pooler.client(&bed.monitor, "begin; select pg_sleep(60)");
    let mut session = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_for("the transaction to be open", WITHIN, || {
        let count = bed.node("n2").sql("select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()")?;
        Ok((count != "0").then_some(()))
    })?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    session.wait()?;
    bed.wait_primary("n1")?;
    pooler.wait_target(bed, "n1")
}

fn a_pooler_that_was_restarted_is_told_again(bed: &mut Bed) -> Result<()> {
    let mut pooler = PgBouncer::start(bed)?;
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    pooler.wait_target(bed, "n2")?;
    bed.wait_whole()?;
    pooler.restart(bed)?;
    pooler.wait_target(bed, "n2")?;
    // And one that was left paused goes on.
    pooler.console(&bed.monitor, "PAUSE app")?;
    wait_for("the pooler to go on", WITHIN, || {
        let databases = pooler.console(&bed.monitor, "SHOW DATABASES")?;
        let line = databases.lines().find(|line| line.starts_with("app|")).context("database app")?;
        ensure!(line.ends_with("|0|0"), "{line}");
        Ok(Some(()))
    })
}
