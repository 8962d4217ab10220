//! Three agents in one process, over their own transport.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use pgaf_core::monitors::{Candidacy, Reply, What};
use pgaf_core::{Lsn, NodeId, ReplicationState, Report, ReportDetail, Timeline};
use tokio::time::sleep;

use super::wire::{self, Admission, Call, Progress, Response};
use super::{Beginning, Handle, Identity, Peer, Token, network, store};
use crate::config::Member;

const PATIENCE: Duration = Duration::from_secs(20);

/// Members on ports that were free a moment ago.
fn members(count: usize) -> Vec<(u64, Member)> {
    let sockets: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports = sockets.iter().map(|socket| socket.local_addr().expect("bound").port());
    (1..)
        .zip(ports.map(|port| Member { name: format!("m{port}"), host: "127.0.0.1".to_owned(), port }))
        .collect()
}

fn token() -> Token {
    Token::parse("a token that is long enough for a test").expect("a token")
}

fn start(directory: &std::path::Path, members: &[(u64, Member)], index: usize) -> Handle {
    run(directory, members, index, Beginning::Together)
}

fn run(directory: &std::path::Path, members: &[(u64, Member)], index: usize, beginning: Beginning) -> Handle {
    let (id, member) = members.get(index).expect("a member");
    let path = directory.join(&member.name).join("store");
    let identity = identity(directory, &member.name);
    store::create(&path).expect("a store");
    let (members, port) = (members.to_vec(), member.port);
    Peer { id: *id, members, beginning, is_witness: false, port, store: path, identity }
        .start()
        .expect("started")
}

fn identity(directory: &std::path::Path, name: &str) -> Identity {
    let identity = Identity::within(&directory.join(name));
    identity.create(&token(), name).expect("a certificate");
    identity
}

async fn agreed(handle: &Handle, what: &What) -> Reply {
    let begin = Instant::now();
    loop {
        match handle.submit(what.clone()).await {
            Ok(reply) => return reply,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn candidacy(node: i64) -> What {
    What::Register(Candidacy {
        node: NodeId(node),
        name: format!("m{node}"),
        host: format!("host{node}"),
        port: 5432,
        dbname: "pg_auto_failover".to_owned(),
    })
}

fn goal(reply: Reply) -> ReplicationState {
    match reply {
        Reply::Answer(answer) => answer.assignment.goal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn three_agents_agree_on_one_group() {
    let directory = tempfile::tempdir().expect("a directory");
    let members = members(3);
    let mut handles: Vec<Handle> = (0..2).map(|index| start(directory.path(), &members, index)).collect();
    assert_eq!(goal(agreed(&handles[1], &candidacy(2)).await), ReplicationState::Single);
    assert_eq!(goal(agreed(&handles[0], &candidacy(1)).await), ReplicationState::WaitStandby);
    // The third comes late, and has all of it.
    handles.push(start(directory.path(), &members, 2));
    assert_eq!(goal(agreed(&handles[2], &candidacy(3)).await), ReplicationState::WaitStandby);
    let report = Report {
        state: ReplicationState::Single,
        is_running: true,
        timeline: Timeline(1),
        lsn: Lsn(0x100),
        sync_state: String::new(),
        detail: ReportDetail { system_identifier: Some(7), ..ReportDetail::default() },
    };
    let report = What::Report { node: NodeId(2), report: Box::new(report) };
    assert_eq!(goal(agreed(&handles[1], &report).await), ReplicationState::WaitPrimary);
    let mut last = handles[2].agreed();
    let is_there = |monitors: &pgaf_core::monitors::Monitors| {
        monitors
            .group
            .as_ref()
            .and_then(|group| group.node(NodeId(2)))
            .is_some_and(|node| node.lsn == Lsn(0x100))
    };
    let waited = tokio::time::timeout(PATIENCE, last.wait_for(is_there)).await;
    assert!(waited.is_ok_and(|found| found.is_ok()), "the third has not heard of the report");
}

#[tokio::test]
async fn who_has_another_token_or_none_is_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let members = members(3);
    let _handle = start(directory.path(), &members, 0);
    let (id, member) = members.first().expect("a member");
    let context = |name: &str, token: &str| {
        let identity = Identity::within(&directory.path().join("foreign"));
        identity.create(&Token::parse(token).expect("a token"), name).expect("a certificate");
        identity.context().expect("a context")
    };
    let other = "another token, of somebody who has none of ours";
    for name in ["stranger", members[1].1.name.as_str()] {
        let foreign = network::Network::new(context(name, other)).client(*id, member);
        assert!(foreign.ask(&Call::Status).await.is_err(), "{name} was let in");
    }
    let ours = "a token that is long enough for a test";
    let client = network::Network::new(context(&members[1].1.name, ours)).client(*id, member);
    let begin = Instant::now();
    loop {
        match client.ask(&Call::Status).await {
            Ok(Response::Status(status)) => break assert_eq!(status.id, *id),
            other => assert!(begin.elapsed() < PATIENCE, "{other:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
    // A right certificate of another monitor than was meant.
    let meant = Member { name: "m0".to_owned(), ..member.clone() };
    let wrong = wire::connect(&context(&members[1].1.name, ours), &meant).await;
    assert!(wrong.err().is_some_and(|error| error.to_string().contains("in the place of")));
}

#[tokio::test]
async fn one_that_never_comes_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut all = members(4);
    let (_, late) = all.pop().expect("four");
    let handles: Vec<Handle> = (0..2).map(|index| start(directory.path(), &all, index)).collect();
    agreed(&handles[0], &candidacy(1)).await;
    let known = &all[..2];
    let asker = identity(directory.path(), &late.name);
    let lost = all[2].1.name.clone();
    let begin = Instant::now();
    let contact = Member { name: String::new(), ..all[0].1.clone() };
    let full = network::admit(&asker, contact.clone(), &late.name, late.address()).await;
    assert!(full.as_ref().is_err_and(|reason| reason.contains("already")), "{full:?}");
    while network::drop_member(&asker, known, &lost).await != Ok(Progress::Done) {
        assert!(begin.elapsed() < PATIENCE, "it is not dropped");
        sleep(Duration::from_millis(50)).await;
    }
    let refused = network::drop_member(&asker, known, &all[1].1.name).await;
    assert!(refused.is_err_and(|reason| reason.contains("create another one first")));
    let Admission { id, mut members } =
        network::admit(&asker, contact, &late.name, late.address()).await.expect("admitted");
    assert_eq!((id, members.len()), (4, 2));
    members.push((id, late));
    let new = run(directory.path(), &members, 2, Beginning::Joined);
    assert_eq!(goal(agreed(&new, &candidacy(4)).await), ReplicationState::WaitStandby);
    let mut known = new.members();
    let are_three = |members: &Vec<(u64, Member)>| members.iter().map(|(id, _)| *id).eq([1, 2, 4]);
    let waited = tokio::time::timeout(PATIENCE, known.wait_for(are_three)).await;
    assert!(waited.is_ok_and(|found| found.is_ok()), "the new one does not know the others");
    let voters = async {
        while network::status_of(&asker, 1, &all[0].1).await.is_ok_and(|status| status.voters != [1, 2, 4]) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, voters).await.is_ok(), "the new one has no vote");
    // The number of the lost one is not used again.
    let reply = agreed(&new, &candidacy(3)).await;
    assert_eq!(reply, Reply::Unknown);
}
