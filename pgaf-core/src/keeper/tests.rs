//! Every goal from every situation, carried out on a Postgres that is only a value.

use std::time::Duration;

use super::*;
use crate::id::{Epoch, GroupId, NodeId};
use crate::lsn::{Lineage, Lsn, Timeline};
use crate::message::{CommitRule, Peer};

const PEER: NodeId = NodeId(2);
/// What there is here, and what a peer has.
const LOCAL: Lsn = Lsn(0x300_0000);
const FETCHED: Lsn = Lsn(0x400_0000);

fn peer() -> Peer {
    Peer { node: PEER, name: "b".to_owned(), host: "hostb".to_owned(), port: 5432 }
}

fn assignment(goal: State) -> Assignment {
    let is_synchronous = goal.is_synchronous_writer();
    Assignment {
        node: NodeId(1),
        group: GroupId(0),
        epoch: Epoch(7),
        goal,
        candidate_priority: 50,
        replication_quorum: true,
        commit_rule: if is_synchronous {
            CommitRule { standbys: vec![PEER], acks: 1 }
        } else {
            CommitRule::ASYNCHRONOUS
        },
        upstream: (!goal.is_writer()).then(peer),
        peers: vec![peer()],
        fetch_up_to: (goal == State::FastForward).then_some(FETCHED),
        dbname: "postgres".to_owned(),
        network_partition_timeout_ms: None,
    }
}

fn cluster(is_clean: bool, is_standby: bool) -> Cluster {
    Cluster { system_identifier: 1, timeline: Timeline(1), checkpoint: LOCAL, is_clean, is_standby }
}

fn running(is_in_recovery: bool, is_gated: bool) -> Running {
    Running {
        is_in_recovery,
        is_gated,
        timeline: Timeline(1),
        lsn: LOCAL,
        replayed: LOCAL,
        synchronous_standby_names: "ANY 1 (somebody)".to_owned(),
        follows: None,
        receiver: Receiver::Absent,
        is_replay_over: false,
        is_short_of_settings: false,
        standbys: Vec::new(),
        slots: Vec::new(),
    }
}

/// Follows somebody whom nobody has assigned.
fn led_astray() -> Running {
    Running {
        follows: Some(Following { host: "hostx".to_owned(), port: 5432 }),
        receiver: Receiver::Streaming,
        ..running(true, false)
    }
}

/// All situations: the files, the server, the histories.
fn situations() -> Vec<Observed> {
    let mut data = vec![DataDirectory::Missing, DataDirectory::Incomplete, DataDirectory::Damaged];
    for is_clean in [true, false] {
        for is_standby in [true, false] {
            data.push(DataDirectory::Present(cluster(is_clean, is_standby)));
        }
    }
    let mut situations = Vec::new();
    for data in data {
        for lineage in [None, Some(Lineage::Behind), Some(Lineage::Forked)] {
            for is_rewind_hopeless in [true, false] {
                let servers = [
                    Server::Stopped,
                    Server::Starting,
                    Server::Unresponsive,
                    Server::Refusing,
                    Server::Running(running(
                        matches!(&data, DataDirectory::Present(c) if c.is_standby),
                        false,
                    )),
                    Server::Running(running(false, true)),
                    Server::Running(led_astray()),
                ];
                situations.extend(servers.into_iter().map(|server| Observed {
                    data: data.clone(),
                    server,
                    lineage,
                    is_rewind_hopeless,
                    memory: Memory::default(),
                }));
            }
        }
    }
    situations
}

/// What the step does when it works.
fn execute(world: &mut Observed, step: &Step) {
    match step {
        Step::Checkpoint => {}
        Step::StopPostgres(_) => {
            world.server = Server::Stopped;
            world.memory = Memory { routing: world.memory.routing.clone(), ..Memory::default() };
        }
        Step::StartPostgres if matches!(&world.server, Server::Running(server) if server.is_gated) => {
            edit(world, |server| server.is_gated = false);
        }
        Step::StartPostgres | Step::StartGated => {
            let DataDirectory::Present(cluster) = &world.data else {
                panic!("Postgres was started on {:?}", world.data);
            };
            let mut server = running(cluster.is_standby, *step == Step::StartGated);
            if cluster.is_standby {
                server.follows = Some(Following { host: "hostb".to_owned(), port: 5432 });
            }
            world.server = Server::Running(server);
        }
        Step::BaseBackup { .. } | Step::Rewind { .. } => {
            assert_eq!(world.server, Server::Stopped, "files were changed under a server");
            let is_usable = matches!(world.data, DataDirectory::Present(_));
            assert!(is_usable || matches!(step, Step::BaseBackup { .. }), "rewound {:?}", world.data);
            world.data = DataDirectory::Present(cluster(true, true));
            world.lineage = Some(Lineage::Behind);
        }
        Step::Follow { upstream } => {
            follow(world, upstream.as_ref());
            world.memory.unseen.followed.clone_from(upstream);
        }
        Step::Promote => {
            world.data = DataDirectory::Present(cluster(false, false));
            edit(world, |server| server.is_in_recovery = false);
        }
        Step::AdmitStandbys { peers } => world.memory.admitted = Some(peers.clone()),
        Step::SetSynchronousStandbyNames(names) => {
            edit(world, |server| server.synchronous_standby_names.clone_from(names));
            world.memory.names_in_force_since = Some(LOCAL);
            world.memory.unseen.is_names_emptied = names.is_empty();
        }
        Step::BeforePromote { .. } | Step::PausePoolers | Step::RoutePoolers => world.memory.did(step),
        Step::HoldWrites { .. } | Step::ReleaseWrites | Step::RouteWrites { .. } => {
            world.memory.routing.did(step, true);
        }
    }
}

fn follow(world: &mut Observed, upstream: Option<&Peer>) {
    assert!(
        !matches!(&world.server, Server::Running(server) if !server.is_in_recovery),
        "a primary was told to follow"
    );
    if let DataDirectory::Present(cluster) = &mut world.data {
        cluster.is_standby = true;
    }
    edit(world, |server| {
        server.follows =
            upstream.map(|upstream| Following { host: upstream.host.clone(), port: upstream.port });
        server.receiver = Receiver::Absent;
        server.is_replay_over = upstream.is_none();
    });
}

fn edit(world: &mut Observed, change: impl FnOnce(&mut Running)) {
    if let Server::Running(server) = &mut world.server {
        change(server);
    }
}

/// What happens by itself while the keeper waits.
fn time_passes(world: &mut Observed) {
    if matches!(world.server, Server::Starting | Server::Refusing) {
        let is_standby = matches!(&world.data, DataDirectory::Present(cluster) if cluster.is_standby);
        world.server = Server::Running(running(is_standby, false));
    }
    if world.lineage.is_none() {
        world.lineage = Some(Lineage::Behind);
    }
    edit(world, |server| {
        if server.is_in_recovery && server.follows.is_some() {
            server.receiver = Receiver::Streaming;
            server.lsn = FETCHED;
        }
        if !server.is_in_recovery {
            let flushed = server.lsn;
            server.standbys =
                vec![StreamingStandby { node: PEER, is_streaming: true, is_synchronous: true, flushed }];
        }
    });
}

fn coordinator() -> Peer {
    Peer { node: NodeId(9), name: "c".to_owned(), host: "hostc".to_owned(), port: 5432 }
}

/// What a node of a worker group may have asked of its coordinator.
fn routings() -> Vec<Routing> {
    let with = |hold, route| Routing { coordinator: Some(coordinator()), hold, route };
    vec![
        Routing::default(),
        with(Hold::None, Route::Unknown),
        with(Hold::Open, Route::Unknown),
        with(Hold::Failed, Route::Failed(coordinator())),
        with(Hold::None, Route::To(peer())),
        Routing { hold: Hold::Open, ..Routing::default() },
    ]
}

#[test]
fn no_writes_are_held_for_a_node_that_does_not_take_over() {
    let is_undecided = |goal| matches!(goal, State::Unknown | State::Init);
    let is_candidate = State::is_being_promoted;
    for goal in State::ALL.into_iter().filter(|goal| !is_candidate(*goal) && !is_undecided(*goal)) {
        for routing in routings() {
            for mut situation in situations().into_iter().filter(has_data) {
                situation.memory.routing = routing.clone();
                let (end, world) = live(&assignment(goal), situation);
                let must_not_fetch = goal == State::FastForward && world.lineage == Some(Lineage::Forked);
                assert!(end == Plan::Reached || must_not_fetch, "{goal}: {end:?}");
                let routing = &world.memory.routing;
                if let (true, Some(coordinator)) = (goal.is_writer(), &routing.coordinator) {
                    let is_failed = routing.route == Route::Failed(coordinator.clone());
                    let is_told = routing.route == Route::To(coordinator.clone());
                    assert!(is_told || is_failed, "{goal}: {routing:?}");
                }
                let is_orphan = routing.coordinator.is_none() && goal.is_writer();
                assert!(routing.hold != Hold::Open || is_orphan, "{goal}: {routing:?}");
            }
        }
    }
}

#[test]
fn a_candidate_is_ready_when_writes_are_held_or_cannot_be() {
    let mut standby = Observed {
        data: DataDirectory::Present(cluster(false, true)),
        server: Server::Running(running(true, false)),
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let assignment = assignment(State::PreparePromotion);
    assert_eq!(plan(&assignment, &standby), Plan::Reached, "plain Postgres");
    standby.memory.routing.coordinator = Some(coordinator());
    let hold =
        Step::HoldWrites { coordinator: coordinator(), primary: Some(peer()), epoch: assignment.epoch };
    assert_eq!(plan(&assignment, &standby), Plan::Steps(vec![hold.clone()]));
    for is_done in [true, false] {
        let mut standby = standby.clone();
        standby.memory.routing.did(&hold, is_done);
        assert_eq!(plan(&assignment, &standby), Plan::Reached);
    }
}

/// Carries out plans until the goal holds or only a person can help.
fn live(assignment: &Assignment, mut world: Observed) -> (Plan, Observed) {
    for _ in 0..12 {
        world.memory.rule_wanted_since = Some(LOCAL);
        match plan(assignment, &world) {
            Plan::Steps(steps) => steps.iter().for_each(|step| execute(&mut world, step)),
            Plan::Wait(_) if assignment.goal == State::JoinSecondary && !has_data(&world) => {
                return (plan(assignment, &world), world);
            }
            Plan::Wait(_) => time_passes(&mut world),
            last => return (last, world),
        }
    }
    panic!("{} is not reached from {world:?}", assignment.goal);
}

fn has_data(world: &Observed) -> bool {
    matches!(world.data, DataDirectory::Present(_))
}

/// The goals that only a node with data of its own can reach.
const NEEDS_DATA: [State; 10] = [
    State::Single,
    State::WaitPrimary,
    State::Primary,
    State::JoinPrimary,
    State::ApplySettings,
    State::PreparePromotion,
    State::StopReplication,
    State::ReportLsn,
    State::FastForward,
    State::JoinSecondary,
];

#[test]
fn every_goal_is_reached_from_every_situation() {
    for goal in State::ALL.into_iter().filter(|goal| *goal != State::Unknown) {
        for situation in situations() {
            let (end, world) = live(&assignment(goal), situation.clone());
            if end == Plan::Reached {
                check_reached(goal, &world, &situation);
                continue;
            }
            let lacks_data = NEEDS_DATA.contains(&goal) && !has_data(&situation);
            let must_not_fetch = goal == State::FastForward && situation.lineage == Some(Lineage::Forked);
            assert!(lacks_data || must_not_fetch, "{goal} from {situation:?}: {end:?}");
            let is_quiet = matches!(end, Plan::Wait(_));
            assert_eq!(
                is_quiet,
                goal == State::JoinSecondary,
                "only who waits for a copy is silent: {end:?}"
            );
        }
    }
}

fn check_reached(goal: State, world: &Observed, situation: &Observed) {
    let writes = matches!(&world.server, Server::Running(server) if !server.is_in_recovery);
    if goal.is_writer() {
        assert!(writes, "{goal} from {situation:?}");
        let Server::Running(server) = &world.server else { return };
        assert!(!server.is_gated);
        assert_eq!(
            server.synchronous_standby_names,
            assignment(goal).commit_rule.synchronous_standby_names()
        );
    } else if goal != State::Init {
        assert!(!writes, "{goal} accepts writes, from {situation:?}");
    }
    if goal.is_retiring() || goal == State::Dropped {
        assert_eq!(world.server, Server::Stopped);
    }
    if let (Server::Running(server), State::StopReplication | State::ReportLsn | State::JoinSecondary) =
        (&world.server, goal)
    {
        let is_cut = server.follows.is_none() && server.receiver == Receiver::Absent;
        assert!(is_cut && server.is_replay_over, "{goal} from {situation:?}");
    }
    if let (Server::Running(server), State::FastForward) = (&world.server, goal) {
        assert!(server.lsn >= FETCHED, "{goal} from {situation:?}");
    }
}

/// Whoever may be elected keeps what it has, whoever it is compared with, and so does a standby without a primary.
#[test]
fn only_a_standby_of_a_primary_throws_its_data_away() {
    let goals = State::ALL.into_iter().map(assignment);
    let alone = State::ALL.into_iter().map(|goal| Assignment { upstream: None, ..assignment(goal) });
    for assignment in goals.chain(alone) {
        let follows = matches!(assignment.goal, State::CatchingUp | State::Secondary);
        for mut world in situations().into_iter().filter(has_data) {
            for _ in 0..6 {
                match plan(&assignment, &world) {
                    Plan::Steps(steps) => {
                        let throws_away =
                            |step: &Step| matches!(step, Step::BaseBackup { .. } | Step::Rewind { .. });
                        let may = follows && assignment.upstream.is_some();
                        assert!(may || !steps.iter().any(throws_away), "{}: {steps:?}", assignment.goal);
                        steps.iter().for_each(|step| execute(&mut world, step));
                    }
                    Plan::Wait(_) => time_passes(&mut world),
                    Plan::Reached | Plan::Blocked(_) => break,
                }
            }
        }
    }
}

#[test]
fn a_vote_is_cast_only_when_replay_is_over() {
    let at = |running: Running| Observed {
        data: DataDirectory::Present(cluster(false, true)),
        server: Server::Running(running),
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let cut = Plan::Steps(vec![Step::Follow { upstream: None }]);
    let verdict = |running: Running| plan(&assignment(State::ReportLsn), &at(running));
    assert_eq!(verdict(led_astray()), cut, "it receives");
    assert_eq!(verdict(running(true, false)), cut, "after a restart it may have more than it says");
    assert_eq!(verdict(Running { is_replay_over: true, ..running(true, false) }), Plan::Reached);
    let dying = Running { is_replay_over: true, receiver: Receiver::Idle, ..running(true, false) };
    assert_eq!(verdict(dying), cut, "the walreceiver is not gone yet");
}

#[test]
fn a_stopped_voter_does_not_start_to_receive_again() {
    let stopped = Observed {
        data: DataDirectory::Present(cluster(true, true)),
        server: Server::Stopped,
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    for goal in [State::ReportLsn, State::StopReplication, State::JoinSecondary] {
        assert_eq!(
            plan(&assignment(goal), &stopped),
            Plan::Steps(vec![Step::Follow { upstream: None }, Step::StartPostgres])
        );
    }
}

#[test]
fn who_has_all_needs_no_source() {
    let mut assignment = assignment(State::FastForward);
    let mut observed = Observed {
        data: DataDirectory::Present(cluster(false, true)),
        server: Server::Running(running(true, false)),
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let follow = Plan::Steps(vec![Step::Follow { upstream: Some(peer()) }]);
    assert_eq!(plan(&assignment, &observed), follow);
    assignment.upstream = None;
    assert!(matches!(plan(&assignment, &observed), Plan::Wait(_)));
    assignment.fetch_up_to = Some(LOCAL);
    assert_eq!(plan(&assignment, &observed), Plan::Reached);
    observed.lineage = Some(Lineage::Forked);
    assert!(matches!(plan(&assignment, &observed), Plan::Blocked(_)), "a forked node is no candidate");
}

#[test]
fn a_standby_runs_also_when_there_is_no_primary_to_follow() {
    let at = |is_standby| Observed {
        data: DataDirectory::Present(cluster(true, is_standby)),
        server: Server::Stopped,
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    for goal in [State::Secondary, State::CatchingUp] {
        let alone = Assignment { upstream: None, ..assignment(goal) };
        assert_eq!(plan(&alone, &at(true)), Plan::Steps(vec![Step::StartPostgres]), "{goal}");
        assert!(matches!(plan(&alone, &at(false)), Plan::Wait(_)), "{goal}: it would start as a primary");
    }
}

#[test]
fn a_standby_that_does_not_know_the_end_of_its_log_is_not_counted() {
    let epoch = |state, server| {
        let observed = Observed {
            data: DataDirectory::Present(cluster(false, true)),
            server,
            lineage: None,
            is_rewind_hopeless: false,
            memory: Memory::default(),
        };
        epoch_to_report(state, Epoch(7), &observed)
    };
    let replaying = Running { is_replay_over: false, ..running(true, false) };
    let at_rest = Running { is_replay_over: true, ..running(true, false) };
    for server in [Server::Stopped, Server::Starting, Server::Unresponsive, Server::Running(replaying)] {
        assert_eq!(epoch(State::ReportLsn, server.clone()), Epoch(6), "{server:?}");
        assert_eq!(epoch(State::Secondary, server), Epoch(7));
    }
    assert_eq!(epoch(State::ReportLsn, Server::Running(at_rest)), Epoch(7));
}

#[test]
fn a_quorum_is_confirmed_only_with_all_that_was_acknowledged_before() {
    let assignment = assignment(State::Primary);
    let mut server = running(false, false);
    server.synchronous_standby_names = assignment.commit_rule.synchronous_standby_names();
    let standby = |flushed, is_streaming, is_synchronous| StreamingStandby {
        node: PEER,
        is_streaming,
        is_synchronous,
        flushed: Lsn(flushed),
    };
    let verdict = |standby: StreamingStandby, since: Option<u64>| {
        let mut server = server.clone();
        server.standbys = vec![standby];
        plan(
            &assignment,
            &Observed {
                data: DataDirectory::Present(cluster(false, false)),
                server: Server::Running(server),
                lineage: None,
                is_rewind_hopeless: false,
                memory: Memory {
                    admitted: Some(vec![peer()]),
                    names_in_force_since: since.map(Lsn),
                    ..Memory::default()
                },
            },
        )
    };
    assert_eq!(verdict(standby(100, true, true), Some(100)), Plan::Reached);
    for (standby, since) in [
        (standby(99, true, true), Some(100)),
        (standby(100, false, true), Some(100)),
        (standby(100, true, false), Some(100)),
        (standby(100, true, true), None),
    ] {
        assert!(matches!(verdict(standby, since), Plan::Wait(_)), "{standby:?} {since:?}");
    }
}

#[test]
fn draining_writes_out_first_and_fencing_does_not() {
    let at = |server| Observed {
        data: DataDirectory::Present(cluster(false, false)),
        server,
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let writer = at(Server::Running(running(false, false)));
    assert_eq!(
        plan(&assignment(State::Draining), &writer),
        Plan::Steps(vec![Step::Checkpoint, Step::StopPostgres(StopMode::Fast)])
    );
    assert_eq!(
        plan(&assignment(State::Demoted), &writer),
        Plan::Steps(vec![Step::StopPostgres(StopMode::Fast)])
    );
}

#[test]
fn a_keeper_that_finds_a_gated_primary_opens_it_only_on_a_word_of_the_monitor() {
    let at = |seconds| Moment::after_boot(Duration::from_secs(seconds));
    let limit = Duration::from_secs(4);
    let observed = Observed {
        data: DataDirectory::Present(cluster(false, false)),
        server: Server::Running(running(false, true)),
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let mut authority = Authority::new(at(10));
    let plan = |authority: &Authority| authority.plan(&assignment(State::Primary), &observed, limit, at(11));
    assert!(matches!(plan(&authority), Plan::Wait(_)));
    authority.answered(at(10));
    assert_eq!(plan(&authority), Plan::Steps(vec![Step::StartPostgres]));
}

mod isolated {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    fn verdict(goal: State, server: Server, monitor: Option<u64>, standbys: u64) -> Plan {
        let observed = Observed {
            data: DataDirectory::Present(cluster(false, false)),
            server,
            lineage: None,
            is_rewind_hopeless: false,
            memory: Memory { admitted: Some(vec![peer()]), ..Memory::default() },
        };
        let silence = Silence {
            monitor: monitor.map(Duration::from_secs),
            standbys: Duration::from_secs(standbys),
            limit: LIMIT,
        };
        plan_isolated(&assignment(goal), &observed, silence)
    }

    fn writer() -> Server {
        Server::Running(running(false, false))
    }

    const FENCE: Step = Step::StopPostgres(StopMode::Immediate);

    #[test]
    fn a_primary_fences_itself_when_nobody_answers() {
        assert_eq!(verdict(State::Primary, writer(), Some(4), 4), Plan::Steps(vec![FENCE]));
        assert_eq!(verdict(State::Primary, writer(), None, 4), Plan::Steps(vec![FENCE]));
        assert!(matches!(verdict(State::Primary, writer(), Some(3), 60), Plan::Wait(_)));
        assert!(matches!(verdict(State::Primary, writer(), Some(60), 3), Plan::Wait(_)));
    }

    #[test]
    fn whoever_waits_for_nobody_goes_on() {
        for goal in [State::WaitPrimary, State::Single] {
            let plan = verdict(goal, writer(), None, 600);
            assert_ne!(plan, Plan::Steps(vec![FENCE]), "{goal}");
        }
    }

    #[test]
    fn a_stopped_primary_starts_behind_the_gate_until_it_is_confirmed() {
        assert_eq!(verdict(State::Primary, Server::Stopped, None, 600), Plan::Steps(vec![Step::StartGated]));
        let mut gated = running(false, true);
        assert!(matches!(verdict(State::Primary, Server::Running(gated.clone()), None, 600), Plan::Wait(_)));
        let standby =
            StreamingStandby { node: PEER, is_streaming: true, is_synchronous: true, flushed: gated.lsn };
        gated.standbys = vec![standby];
        assert!(matches!(
            verdict(State::Primary, Server::Running(gated), None, 0),
            Plan::Steps(steps) if steps.contains(&Step::StartPostgres)
        ));
    }

    #[test]
    fn a_recovery_is_not_killed() {
        assert!(matches!(verdict(State::Primary, Server::Starting, None, 600), Plan::Wait(_)));
    }
}

#[test]
fn without_a_monitor_a_primary_serves_and_is_not_fenced() {
    for goal in [State::Single, State::WaitPrimary, State::Primary] {
        let observed = Observed {
            data: DataDirectory::Present(cluster(false, false)),
            server: Server::Running(running(false, false)),
            lineage: None,
            is_rewind_hopeless: false,
            memory: Memory::default(),
        };
        let steps = match plan_unmonitored(&assignment(goal), &observed) {
            Plan::Steps(steps) => steps,
            _ => Vec::new(),
        };
        assert!(!steps.iter().any(|step| matches!(step, Step::StopPostgres(_))), "{steps:?}");
    }
}

#[test]
fn without_a_monitor_a_stopped_primary_needs_its_standbys() {
    let mut observed = Observed {
        data: DataDirectory::Present(cluster(false, false)),
        server: Server::Stopped,
        lineage: None,
        is_rewind_hopeless: false,
        memory: Memory::default(),
    };
    let plan = |goal, observed: &Observed| plan_unmonitored(&assignment(goal), observed);
    assert_eq!(plan(State::Primary, &observed), Plan::Steps(vec![Step::StartGated]));
    assert_eq!(plan(State::WaitPrimary, &observed), Plan::Steps(vec![Step::StartPostgres]));
    let mut gated = running(false, true);
    observed.server = Server::Running(gated.clone());
    assert!(matches!(plan(State::Primary, &observed), Plan::Wait(_)));
    gated.standbys =
        vec![StreamingStandby { node: PEER, is_streaming: true, is_synchronous: true, flushed: gated.lsn }];
    observed.server = Server::Running(gated);
    assert_eq!(plan(State::Primary, &observed), Plan::Steps(vec![Step::StartPostgres]));
}

#[test]
fn a_standby_that_waits_for_removed_wal_before_it_can_be_asked_is_copied_anew() {
    let starting = |lineage, is_rewind_hopeless| Observed {
        data: DataDirectory::Present(cluster(false, true)),
        server: Server::Starting,
        lineage,
        is_rewind_hopeless,
        memory: Memory::default(),
    };
    let assignment = assignment(State::CatchingUp);
    assert_eq!(plan(&assignment, &starting(None, false)), Plan::Wait("Postgres recovers"));
    let Plan::Steps(steps) = plan(&assignment, &starting(Some(Lineage::Forked), true)) else {
        panic!("it would wait for ever");
    };
    assert_eq!(steps[0], Step::StopPostgres(StopMode::Immediate));
    assert!(matches!(steps[1], Step::BaseBackup { .. }));
}

#[test]
fn a_primary_whose_commits_wait_for_nobody_says_so() {
    let writer = |names: &str| {
        let running = Running { synchronous_standby_names: names.to_owned(), ..running(false, false) };
        Observed { server: Server::Running(running), ..situations().swap_remove(0) }
    };
    let assignment = Assignment {
        commit_rule: CommitRule { standbys: vec![NodeId(2)], acks: 1 },
        ..assignment(State::Primary)
    };
    let said =
        |reached, names: &str| state_that_holds(State::Primary, reached, Some(&assignment), &writer(names));
    let rule = assignment.commit_rule.synchronous_standby_names();
    let now = assignment.epoch;
    assert_eq!(said(now, &rule), State::Primary);
    assert_eq!(said(now, &format!("{rule} (perhaps not yet in force)")), State::Primary);
    for wrong in ["", "ANY 1 (other)", &format!("not in force: {rule}")] {
        assert_eq!(said(now, wrong), State::WaitPrimary, "{wrong}");
    }
    let before = Epoch(now.0 - 1);
    assert_eq!(said(before, "ANY 1 (other)"), State::Primary, "the rule it has reached is another one");
}

#[test]
fn a_standby_that_is_short_of_settings_is_restarted() {
    let short = Running { is_short_of_settings: true, ..running(true, false) };
    let observed = Observed { server: Server::Running(short), ..situations().swap_remove(0) };
    for goal in [State::Secondary, State::ReportLsn, State::PreparePromotion, State::WaitPrimary] {
        let plan = plan(&assignment(goal), &observed);
        assert!(
            matches!(&plan, Plan::Steps(steps) if steps.last() == Some(&Step::StartPostgres)),
            "{goal}: {plan:?}"
        );
    }
    let plan = plan(&assignment(State::Demoted), &observed);
    assert!(matches!(&plan, Plan::Steps(steps) if steps.len() == 1), "{plan:?}");
}
