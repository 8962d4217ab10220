//! Runs the plain-text scenarios of `tests/scenarios/` against the monitor's `decide`.
//!
//! A line is one event or one expectation; `#` begins a comment:
//!
//! ```text
//! node 1 primary [async] [priority N] [lsn X] [tli N]
//!                                    a node that has reached this state (before the first event)
//! number_sync_standbys 1             the formation's setting (before the first event)
//! worker_group 2                     the group is one of workers, in a Citus formation (before the first event)
//! elsewhere 1                        the smallest quorum in another group of the formation (before the first event)
//! register 2 [STATE]                 a node registers, in this state if it has data
//! report 2 [STATE] [down] [hung] [stopping] [lsn X] [tli N [from X]] [end X] [cut SECONDS] [nodata] [old] [epoch N]
//!                                    a report; without a state: its goal, reached. `old`: not under the newest
//!                                    assignment. `cut`: it receives nothing since then. `from`: where the timeline
//!                                    left its parent. `end`: shut down cleanly there
//! silent 1 6                         its keeper has been silent for so many seconds, and its probes fail
//! lost 1 6                           the same, and its standbys have received nothing for so long
//! mute 1 6                           its keeper is silent, and its probes succeed
//! restart                            the monitor was restarted: nobody has reported to it
//! pass 6                             so many seconds pass, and everybody goes on as before
//! tick | failover | promote 2 | remove 2 [force] | maintenance 2 on|off
//! priority 2 50 | quorum 2 on|off | sync 1 | moved 2 | give_up_commits WHO | accept_timeline 2 WHO
//! secondaries on|off                 whether the formation allows secondary nodes
//! goals 1=demoted 2=wait_primary     the goals of all nodes now
//! upstream 2 1                       node 2 is told to receive from node 1 (- for nobody)
//! commit_rules 1 of 2,3 | 0 of       the commit rules that may be in force
//! waits TEXT                         the group waits for something, in a sentence that has this text (- for nothing)
//! rule NAME                          the last decision followed this rule
//! quiet                              the last decision changed nothing
//! refused TEXT                       the last event was refused with a message that has this text
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, Refusal, assignment_for, decide};
use pgaf_core::{
    CommitRule, Epoch, FormationKind, Group, GroupId, Health, Lsn, Node, NodeId, ReplicationState, Timeline,
    TimelineHistory, Upstream,
};

struct World {
    group: Group,
    /// Something has happened.
    is_begun: bool,
    last: Option<Result<Decision, Refusal>>,
}

type Outcome = Result<(), String>;

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("\"{word}\" is not a number"))
}

fn state(word: &str) -> Result<ReplicationState, String> {
    word.parse().map_err(|error| format!("{error}"))
}

impl World {
    fn new() -> Self {
        let group = Group::new("default", GroupId(0));
        Self { group, is_begun: false, last: None }
    }

    fn line(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let node = |index: usize| -> Result<NodeId, String> {
            Ok(NodeId(number(words.get(index).ok_or("a node id is missing")?)?))
        };
        match words[0] {
            "node" => self.add_node(node(1)?, state(words[2])?, &words[3..])?,
            "worker_group" => {
                self.group.kind = FormationKind::Citus;
                self.group.id = GroupId(number(words[1])?);
            }
            "number_sync_standbys" => self.group.number_sync_standbys = number(words[1])?,
            "elsewhere" => self.group.fewest_standbys_elsewhere = Some(number(words[1])?),
            "register" => {
                self.is_begun = true;
                let reported = words.get(2).map_or(Ok(ReplicationState::Init), |word| state(word))?;
                self.add_node(node(1)?, reported, &[])?;
                self.find(node(1)?)?.goal = ReplicationState::Init;
                self.event(Event::Registered(node(1)?));
            }
            "report" => self.report(node(1)?, &words[2..])?,
            "silent" | "mute" => self.silence(node(1)?, number(words[2])?, words[0] == "silent")?,
            "lost" => {
                self.silence(node(1)?, number(words[2])?, true)?;
                self.cut_standbys(number(words[2])?);
            }
            "restart" => self.restart(),
            "tick" => self.event(Event::Tick),
            "failover" => self.event(Event::PerformFailover),
            "promote" => self.event(Event::PerformPromotion(node(1)?)),
            "remove" => {
                let force = words.get(2) == Some(&"force");
                self.event(Event::Remove { node: node(1)?, force });
            }
            "maintenance" if words[2] == "on" => self.event(Event::StartMaintenance(node(1)?)),
            "maintenance" => self.event(Event::StopMaintenance(node(1)?)),
            "priority" => self.event(Event::SetCandidatePriority(node(1)?, number(words[2])?)),
            "quorum" => self.event(Event::SetReplicationQuorum(node(1)?, words[2] == "on")),
            "sync" => self.event(Event::SetNumberSyncStandbys(number(words[1])?)),
            "give_up_commits" => self.event(Event::FailoverWithDataLoss { who: words[1].to_owned() }),
            "accept_timeline" => self.event(Event::AcceptTimeline {
                timeline: Timeline(number(words[1])?),
                who: words[2].to_owned(),
            }),
            "secondaries" => self.group.has_secondary = words[1] == "on",
            "pass" => self.pass(Duration::from_secs(number(words[1])?)),
            "moved" => self.event(Event::NodeMoved(node(1)?)),
            "goals" => return self.expect_goals(&words[1..].join(" ")),
            "upstream" => return self.expect_upstream(node(1)?, words[2]),
            "commit_rules" => return self.expect_commit_rules(&words[1..].join(" ")),
            "waits" => return self.expect_waiting(&words[1..].join(" ")),
            "rule" => return self.expect_rule(words[1]),
            "quiet" => return self.expect_quiet(),
            "refused" => return self.expect_refusal(&words[1..].join(" ")),
            other => return Err(format!("unknown word \"{other}\"")),
        }
        Ok(())
    }

    fn add_node(&mut self, id: NodeId, reached: ReplicationState, words: &[&str]) -> Outcome {
        let is_standby = matches!(reached, ReplicationState::Secondary | ReplicationState::CatchingUp);
        let mut node = Node {
            goal: reached,
            goal_epoch: Epoch(1),
            reported: reached,
            reported_epoch: Epoch(1),
            lsn: Lsn(0x300_0000),
            upstream: is_standby.then_some(Upstream { is_streaming: true, silent_ms: 0 }),
            has_reported: true,
            health: Health::Good,
            ..Node::new(id)
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match *word {
                "async" => node.replication_quorum = false,
                "priority" => node.candidate_priority = number(value()?)?,
                "lsn" => node.lsn = value()?.parse().map_err(|error| format!("{error}"))?,
                "tli" => node.timeline = Timeline(number(value()?)?),
                other => return Err(format!("unknown word \"{other}\"")),
            }
        }
        self.group.nodes.push(node);
        self.group.nodes.sort_by_key(|node| node.id);
        if !self.is_begun {
            self.presume_commit_rules();
        }
        Ok(())
    }

    /// Before the first event, the writer has confirmed the rule that goes with its state.
    fn presume_commit_rules(&mut self) {
        let Some(goal) = self.group.writer().map(|writer| writer.goal) else { return };
        self.group.commit_rules = vec![self.group.wanted_commit_rule(goal)];
    }

    /// Time passes; those who report go on doing so.
    fn pass(&mut self, time: Duration) {
        for node in &mut self.group.nodes {
            node.goal_age += time;
        }
        self.event(Event::Tick);
    }

    fn find(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.group.nodes.iter_mut().find(|node| node.id == id).ok_or(format!("no node {id}"))
    }

    fn report(&mut self, id: NodeId, words: &[&str]) -> Outcome {
        use ReplicationState::{CatchingUp, FastForward, PreparePromotion, Secondary};
        let node = self.find(id)?;
        let goal = node.goal;
        let has_fetched = node.reported == FastForward && goal == PreparePromotion;
        node.reported = goal;
        node.reported_epoch = node.goal_epoch;
        node.is_running = !goal.is_retiring() && goal != ReplicationState::WaitStandby;
        node.is_stopping = false;
        node.is_hung = false;
        node.silent_for = Duration::ZERO;
        node.has_reported = true;
        node.health = Health::Good;
        node.upstream = None;
        node.shutdown_lsn = None;
        node.has_data = true;
        let words_say_down = words.contains(&"down");
        let mut words = words.iter();
        let mut cut = None;
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match *word {
                "down" => node.is_running = false,
                "stopping" => node.is_stopping = true,
                "hung" => node.is_hung = true,
                "old" => node.reported_epoch = Epoch(node.goal_epoch.0 - 1),
                "lsn" => node.lsn = value()?.parse().map_err(|error| format!("{error}"))?,
                "tli" => {
                    node.timeline = Timeline(number(value()?)?);
                    node.history = None;
                }
                "from" => {
                    let left_at = value()?.parse().map_err(|error| format!("{error}"))?;
                    let parent = Timeline(node.timeline.0 - 1);
                    let ancestors = vec![(parent, left_at)];
                    node.history = Some(TimelineHistory { timeline: node.timeline, ancestors });
                }
                "end" => node.shutdown_lsn = Some(value()?.parse().map_err(|error| format!("{error}"))?),
                "nodata" => node.has_data = false,
                "epoch" => node.reported_epoch = Epoch(number(value()?)?),
                "cut" => cut = Some(number::<u64>(value()?)?),
                reported => node.reported = state(reported)?,
            }
        }
        // Who has fetched goes on receiving until it is promoted.
        if matches!(node.reported, Secondary | CatchingUp | FastForward) || has_fetched {
            node.upstream = Some(match cut {
                Some(seconds) => Upstream { is_streaming: false, silent_ms: seconds * 1000 },
                None => Upstream { is_streaming: true, silent_ms: 0 },
            });
        }
        if node.reported.is_writer() && !words_say_down {
            node.is_running = true;
        }
        self.event(Event::Reported(id));
        Ok(())
    }

    fn silence(&mut self, id: NodeId, seconds: u64, is_unreachable: bool) -> Outcome {
        let node = self.find(id)?;
        node.silent_for = Duration::from_secs(seconds);
        node.health = if is_unreachable { Health::Bad } else { Health::Good };
        Ok(())
    }

    fn cut_standbys(&mut self, seconds: u64) {
        for node in &mut self.group.nodes {
            if node.upstream.is_some() {
                node.upstream = Some(Upstream { is_streaming: false, silent_ms: seconds * 1000 });
            }
        }
    }

    fn restart(&mut self) {
        self.group.monitor_uptime = Duration::ZERO;
        for node in &mut self.group.nodes {
            node.silent_for = Duration::ZERO;
            node.has_reported = false;
        }
    }

    fn event(&mut self, event: Event) {
        self.is_begun = true;
        let decision = decide(&self.group, &event);
        if let Ok(decision) = &decision {
            self.group = decision.group.clone();
        }
        self.last = Some(decision);
    }

    fn decision(&self) -> Result<&Decision, String> {
        match &self.last {
            Some(Ok(decision)) => Ok(decision),
            Some(Err(refusal)) => Err(format!("refused: {refusal}")),
            None => Err("nothing has happened yet".to_owned()),
        }
    }

    fn expect_goals(&self, wanted: &str) -> Outcome {
        let goals: Vec<String> =
            self.group.nodes.iter().map(|node| format!("{}={}", node.id, node.goal)).collect();
        if goals.join(" ") == wanted { Ok(()) } else { Err(format!("the goals are {}", goals.join(" "))) }
    }

    fn expect_upstream(&self, id: NodeId, wanted: &str) -> Outcome {
        let upstream = assignment_for(&self.group, id).and_then(|assignment| assignment.upstream);
        let found = upstream.map_or("-".to_owned(), |peer| peer.node.to_string());
        if found == wanted { Ok(()) } else { Err(format!("it is {found}")) }
    }

    fn expect_commit_rules(&self, wanted: &str) -> Outcome {
        let text = |rule: &CommitRule| {
            let standbys: Vec<String> = rule.standbys.iter().map(ToString::to_string).collect();
            format!("{} of {}", rule.acks, standbys.join(",")).trim_end().to_owned()
        };
        let found: Vec<String> = self.group.commit_rules.iter().map(text).collect();
        if found.join(" | ") == wanted { Ok(()) } else { Err(format!("they are {}", found.join(" | "))) }
    }

    fn expect_waiting(&self, wanted: &str) -> Outcome {
        let found = self.group.waits_for.as_deref().unwrap_or("-");
        let is_right = if wanted == "-" { found == "-" } else { found.contains(wanted) };
        if is_right { Ok(()) } else { Err(format!("it waits: {found}")) }
    }

    fn expect_rule(&self, name: &str) -> Outcome {
        let rules: Vec<&str> = self.decision()?.changes.iter().map(|change| change.rule).collect();
        if rules.contains(&name) { Ok(()) } else { Err(format!("the rules were {rules:?}")) }
    }

    fn expect_quiet(&self) -> Outcome {
        let decision = self.decision()?;
        if decision.changes.is_empty() && decision.removed.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", decision.changes))
        }
    }

    fn expect_refusal(&self, text: &str) -> Outcome {
        match &self.last {
            Some(Err(refusal)) if refusal.to_string().contains(text) => Ok(()),
            Some(Err(refusal)) => Err(format!("refused otherwise: {refusal}")),
            _ => Err("it was not refused".to_owned()),
        }
    }
}

fn run(path: &Path) -> Outcome {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut world = World::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        world.line(line).map_err(|error| format!("{}:{}: {line}: {error}", path.display(), index + 1))?;
        let writers = world.group.nodes.iter().filter(|node| node.goal.is_writer()).count();
        if writers > 1 {
            return Err(format!("{}:{}: {writers} writers", path.display(), index + 1));
        }
    }
    Ok(())
}

#[test]
fn every_scenario_plays_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("the directory of the scenarios")
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "scenarios are missing");
    let failures: Vec<String> = paths.iter().filter_map(|path| run(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
