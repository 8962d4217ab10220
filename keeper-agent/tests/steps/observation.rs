//! What the keeper sees of a server that is not well.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pgaf_core::keeper::{Server, Step, StopMode};

use crate::bed::{Bed, Outcome, check, processes_of, signal};

crate::tests![
    a_recovery_that_goes_on_is_starting,
    looking_keeps_two_connections,
    a_lost_session_is_replaced,
    a_server_that_hangs_does_not_collect_connections,
    a_full_server_still_lets_the_keeper_in,
];

async fn a_recovery_that_goes_on_is_starting(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.sql("CREATE TABLE t AS SELECT generate_series(1, 300000) AS a").await?;
    node.stop(StopMode::Immediate).await?;
    let step = Step::StartPostgres;
    let pgdata = node.pgdata();
    let observer = node.reborn();
    let (started, ()) = tokio::join!(node.execute(&step), async {
        while !pgdata.join("postmaster.pid").exists() {
            tokio::task::yield_now().await;
        }
        // The startup process is held while it recovers.
        while let Server::Stopped = observer.observe(None).await.observed.server {
            tokio::task::yield_now().await;
        }
    });
    started?;
    let seen = observer.observe(None).await.observed.server;
    check(matches!(seen, Server::Starting | Server::Running(_)), "it starts or runs")?;
    node.until("an answer", |observation| matches!(observation.observed.server, Server::Running(_))).await?;
    Ok(())
}

async fn looking_keeps_two_connections(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    for _ in 0..50 {
        node.running().await?;
    }
    // Sessions that were closed a moment ago may still be ending.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let question = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'pg_autoctl'";
        let count = node.ask(question).await?;
        if count == "3" {
            return Ok(());
        }
        check(
            Instant::now() < deadline,
            &format!("one to look, one kept in reserve, and this one, not {count}"),
        )?;
        node.running().await?;
    }
}

async fn a_lost_session_is_replaced(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.running().await?;
    node.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_autoctl' AND pid <> pg_backend_pid()").await?;
    node.running().await?;
    node.stop(StopMode::Fast).await?;
    node.start().await?;
    node.running().await?;
    Ok(())
}

async fn a_server_that_hangs_does_not_collect_connections(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.running().await?;
    // The postmaster lets new sessions in; each of them hangs.
    let postmaster = node.postmaster_pid();
    for _ in 0..5 {
        for pid in processes_of(&node.pgdata()) {
            if pid != postmaster {
                signal(pid, Signal::SIGSTOP);
            }
        }
        let looked = Instant::now();
        node.observe(None).await;
        check(looked.elapsed() < Duration::from_secs(4), "a look has a deadline")?;
    }
    for pid in processes_of(&node.pgdata()) {
        signal(pid, Signal::SIGCONT);
    }
    node.until("an answer", |observation| matches!(observation.observed.server, Server::Running(_))).await?;
    let count: i64 = node
        .ask("SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'pg_autoctl'")
        .await?
        .parse()?;
    check(count <= 5, &format!("{count} connections"))
}

async fn a_full_server_still_lets_the_keeper_in(bed: &Bed) -> Outcome {
    let node = bed.primary(1).await?;
    node.ensure_role("app", Default::default(), None).await?;
    let port = node.config().port;
    let root = node.pgdata();
    let directory = root.parent().ok_or("a directory")?.display().to_string();
    let mut sessions = Vec::new();
    let mut options = tokio_postgres::Config::new();
    options.host(&directory).port(port).user("app").dbname("postgres");
    while let Ok((client, connection)) = options.connect(tokio_postgres::NoTls).await {
        sessions.push((client, tokio::spawn(connection)));
    }
    check(sessions.len() > 5, "others got in")?;
    node.running().await?;
    Ok(())
}
