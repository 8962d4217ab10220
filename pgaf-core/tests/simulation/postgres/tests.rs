//! The simulated Postgres, by itself.

use super::*;

fn writer(names: &str) -> (Postgres, Archive) {
    let mut archive = Archive::new();
    let mut postgres = Postgres::initialized(4);
    postgres.names = Names::parse(names);
    postgres.start(false, 10);
    postgres.time_passes(&mut archive, 10, false);
    (postgres, archive)
}

fn attach(postgres: &mut Postgres, host: usize, flushed: Lsn) {
    let node = NodeId(host as i64);
    postgres.walsenders[host] = Some(Walsender { node, replied_at: 10, flushed, has_caught_up: true });
}

const ANY_2: &str = "ANY 2 (pgautofailover_standby_1, pgautofailover_standby_2, pgautofailover_standby_3)";

#[test]
fn a_commit_waits_for_any_two_of_three() {
    let (mut postgres, mut archive) = writer(ANY_2);
    let before = postgres.end.lsn();
    postgres.commit(&mut archive);
    let first = postgres.end;
    postgres.commit(&mut archive);
    let end = postgres.end.lsn();
    attach(&mut postgres, 1, end);
    attach(&mut postgres, 2, before);
    assert_eq!(postgres.acknowledge(false), None, "one is not enough");
    attach(&mut postgres, 3, first.lsn());
    assert_eq!(postgres.acknowledge(false), Some((first, 1)), "the second one waits for another");
    postgres.hears_reply(2, end, 20);
    assert_eq!(postgres.acknowledge(false), Some((postgres.end, 1)));
}

#[test]
fn who_is_not_named_does_not_count() {
    let (mut postgres, mut archive) = writer("ANY 1 (pgautofailover_standby_1)");
    postgres.commit(&mut archive);
    let end = postgres.end.lsn();
    attach(&mut postgres, 2, end);
    assert_eq!(postgres.acknowledge(false), None);
    postgres.names = Names::parse("");
    assert_eq!(postgres.acknowledge(false), Some((postgres.end, 1)));
}

#[test]
fn what_waits_at_a_crash_stays_in_the_log_and_is_never_acknowledged() {
    let (mut postgres, mut archive) = writer("ANY 1 (pgautofailover_standby_1)");
    postgres.commit(&mut archive);
    let commit = postgres.end;
    postgres.crash();
    postgres.start(false, 20);
    postgres.time_passes(&mut archive, 20, false);
    let end = postgres.end.lsn();
    attach(&mut postgres, 1, end);
    assert!(postgres.is_writer() && archive.is_prefix(commit, postgres.end));
    assert_eq!(postgres.acknowledge(false), None);
}

#[test]
fn a_clean_shutdown_waits_for_its_standbys_and_says_where_it_ended() {
    let (mut postgres, mut archive) = writer("");
    attach(&mut postgres, 1, Lsn::ZERO);
    postgres.begin_stop(StopMode::Fast, 10);
    postgres.time_passes(&mut archive, 60, false);
    postgres.time_passes(&mut archive, 110, false);
    assert!(!postgres.is_stopped());
    let end = postgres.end.lsn();
    postgres.hears_reply(1, end, 150);
    postgres.time_passes(&mut archive, 160, false);
    assert!(postgres.is_stopped() && postgres.is_clean);
    assert_eq!(postgres.shutdown_lsn(), Some(Lsn(postgres.end.end - 1)));
}

#[test]
fn a_shutdown_that_cannot_send_becomes_a_crash() {
    let (mut postgres, mut archive) = writer("");
    attach(&mut postgres, 1, Lsn::ZERO);
    postgres.begin_stop(StopMode::Fast, 10);
    for now in (10..=STOP_PATIENCE_MS + 10).step_by(1000) {
        postgres.hears_reply(1, Lsn::ZERO, now);
        postgres.time_passes(&mut archive, now, false);
    }
    assert!(postgres.is_stopped() && !postgres.is_clean);
    assert_eq!(postgres.shutdown_lsn(), None);
}

#[test]
fn a_promotion_begins_a_timeline_that_nobody_here_knows() {
    let (mut postgres, mut archive) = writer("");
    postgres.begin_stop(StopMode::Immediate, 20);
    postgres.follow(None);
    postgres.start(false, 30);
    postgres.time_passes(&mut archive, 30, false);
    assert!(postgres.is_standby());
    postgres.newest_timeline = 4;
    let before = postgres.end;
    postgres.promote(&mut archive);
    assert!(postgres.is_writer() && archive.is_prefix(before, postgres.end));
    assert_eq!(archive.timeline(postgres.end).0, 5);
}
