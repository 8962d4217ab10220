//! The life of a postmaster: started, gated, adopted, lost, stopped.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::PostgresExit;
use pgaf_core::keeper::{Server, Step, StopMode};

use crate::bed::{Bed, Outcome, check, processes_of, signal};

crate::tests![
    start_and_stop_twice,
    an_interrupted_start_is_taken_over,
    an_interrupted_stop_is_repeated,
    the_gate_keeps_everybody_else_out,
    a_crash_is_noticed_at_once,
    a_wanted_stop_is_no_crash,
    a_running_postmaster_is_adopted,
    a_stale_pid_file_is_no_server,
    a_frozen_server_is_stopped,
    a_frozen_backend_does_not_delay_an_immediate_stop,
    leftovers_of_a_dead_postmaster_are_gone_before_the_next,
    a_port_in_use_is_named,
    without_a_socket_the_keeper_uses_tcp,
];

async fn start_and_stop_twice(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    for _ in 0..2 {
        node.start().await?;
        node.start().await?;
        let running = node.running().await?;
        check(!running.is_in_recovery && !running.is_gated, "an open primary")?;
        node.stop(StopMode::Fast).await?;
        check(processes_of(&node.pgdata()).is_empty(), "no process is left")?;
        node.stop(StopMode::Fast).await?;
    }
    node.start().await?;
    node.stop(StopMode::Immediate).await?;
    node.stop(StopMode::Immediate).await?;
    check(processes_of(&node.pgdata()).is_empty(), "no process is left")?;
    check(!node.control_data().await?.is_clean(), "an immediate stop is like a crash")
}

async fn an_interrupted_start_is_taken_over(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    let step = Step::StartPostgres;
    let pid_file = node.pgdata().join("postmaster.pid");
    tokio::select! {
        _ = node.execute(&step) => return Err("it was to be interrupted".into()),
        () = async { while !pid_file.exists() { tokio::task::yield_now().await } } => {}
    }
    node.execute(&step).await?;
    node.running().await?;
    Ok(())
}

async fn an_interrupted_stop_is_repeated(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    // A postmaster that does not run does not stop either.
    signal(node.postmaster_pid(), Signal::SIGSTOP);
    let pid = node.postmaster_pid();
    let stop = Step::StopPostgres(StopMode::Fast);
    let interrupted = tokio::time::timeout(Duration::from_millis(300), node.execute(&stop)).await;
    check(interrupted.is_err(), "interrupted")?;
    signal(pid, Signal::SIGCONT);
    node.execute(&stop).await?;
    check(node.control_data().await?.is_clean(), "stopped cleanly")
}

async fn the_gate_keeps_everybody_else_out(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    node.execute(&Step::StartGated).await?;
    node.execute(&Step::StartGated).await?;
    check(node.running().await?.is_gated, "gated")?;
    check(node.session("postgres").await.is_err(), "nobody gets in")?;
    let reborn = node.reborn();
    check(reborn.running().await?.is_gated, "another keeper sees that, too")?;
    drop(reborn);
    node.start().await?;
    check(!node.running().await?.is_gated, "open")?;
    node.sql("CREATE TABLE t ()").await?;
    node.running().await?;
    // The keeper has left the template.
    node.sql("CREATE DATABASE another").await?;
    check(node.execute(&Step::StartGated).await.is_err(), "an open server is not gated in place")?;
    let hba = fs::read_to_string(node.pgdata().join("pg_hba.conf"))?;
    check(!hba.contains("all reject"), "nothing of the gate is left")
}

async fn a_crash_is_noticed_at_once(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    let killed = Instant::now();
    signal(node.postmaster_pid(), Signal::SIGKILL);
    check(node.exited().await == PostgresExit::Crashed, "crashed")?;
    check(killed.elapsed() < Duration::from_millis(200), "at once")?;
    check(node.observe(None).await.observed.server == Server::Stopped, "seen as stopped")?;
    let again = tokio::time::timeout(Duration::from_millis(50), node.exited()).await;
    check(again.is_err(), "an end is reported once")?;
    node.start().await?;
    node.running().await?;
    Ok(())
}

async fn a_wanted_stop_is_no_crash(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    let stop = async {
        node.execute(&Step::StopPostgres(StopMode::Fast)).await?;
        node.start().await?;
        Ok(())
    };
    tokio::select! {
        exit = node.exited() => Err(format!("reported as {exit:?}").into()),
        outcome = stop => outcome,
    }
}

async fn a_running_postmaster_is_adopted(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    let reborn = node.reborn();
    check(reborn.adopt().await?, "found")?;
    reborn.running().await?;
    let pid = node.postmaster_pid();
    reborn.start().await?;
    check(node.postmaster_pid() == pid, "not started again")?;
    signal(pid, Signal::SIGKILL);
    check(reborn.exited().await == PostgresExit::Crashed, "its death is noticed")?;
    reborn.start().await?;
    let third = reborn.reborn();
    third.stop(StopMode::Fast).await?;
    check(third.observe(None).await.observed.server == Server::Stopped, "stopped by one who adopted it")
}

async fn a_stale_pid_file_is_no_server(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    // The number is in use, by another program.
    let mut other = std::process::Command::new("sleep").arg("60").spawn()?;
    let content = format!("{}\n{}\n1\n{}\n", other.id(), node.pgdata().display(), node.config().port);
    fs::write(node.pgdata().join("postmaster.pid"), content)?;
    check(node.observe(None).await.observed.server == Server::Stopped, "not a server")?;
    node.start().await?;
    node.running().await?;
    other.kill()?;
    other.wait()?;
    // A zombie is not alive: whose child it is has not looked yet.
    let reborn = node.reborn();
    let pid = node.postmaster_pid();
    signal(pid, Signal::SIGKILL);
    reborn.until("the end", |observation| observation.observed.server == Server::Stopped).await?;
    Ok(())
}

async fn a_frozen_server_is_stopped(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.running().await?;
    let pids = processes_of(&node.pgdata());
    for pid in &pids {
        signal(*pid, Signal::SIGSTOP);
    }
    let looked = Instant::now();
    let observation = node.observe(None).await;
    check(observation.observed.server == Server::Unresponsive, "it hangs")?;
    check(looked.elapsed() < Duration::from_secs(4), "a look has a deadline")?;
    let stopped = Instant::now();
    node.stop(StopMode::Immediate).await?;
    check(stopped.elapsed() < Duration::from_secs(4), "in time")?;
    check(processes_of(&node.pgdata()).is_empty(), "no process is left")
}

async fn a_frozen_backend_does_not_delay_an_immediate_stop(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    let session = node.session("postgres").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    signal(pid, Signal::SIGSTOP);
    let stopped = Instant::now();
    node.stop(StopMode::Immediate).await?;
    check(stopped.elapsed() < Duration::from_secs(4), "in time")?;
    check(processes_of(&node.pgdata()).is_empty(), "no process is left")
}

async fn leftovers_of_a_dead_postmaster_are_gone_before_the_next(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    let session = node.session("postgres").await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    signal(pid, Signal::SIGSTOP);
    signal(node.postmaster_pid(), Signal::SIGKILL);
    node.exited().await;
    check(processes_of(&node.pgdata()).contains(&pid), "something is left")?;
    node.start().await?;
    check(!processes_of(&node.pgdata()).contains(&pid), "it is gone")?;
    node.running().await?;
    Ok(())
}

async fn a_port_in_use_is_named(bed: &Bed) -> Outcome {
    let node = bed.node(1);
    node.initdb().await?;
    let _taken = TcpListener::bind(("127.0.0.1", node.config().port))?;
    let error = node.execute(&Step::StartPostgres).await.err().ok_or("it started")?.to_string();
    check(error.contains("Address already in use"), &error)?;
    let again = tokio::time::timeout(Duration::from_millis(50), node.exited()).await;
    check(again.is_err(), "a start that fails is no crash")
}

async fn without_a_socket_the_keeper_uses_tcp(bed: &Bed) -> Outcome {
    let node = bed.node_with(1, |config| config.socket_dir = keeper_agent::postgres::SocketDir::Nowhere);
    node.initdb().await?;
    node.execute(&Step::StartGated).await?;
    check(node.running().await?.is_gated, "gated")?;
    node.start().await?;
    node.sql("CREATE TABLE t ()").await
}
