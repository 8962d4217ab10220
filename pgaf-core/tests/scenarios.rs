//! Runs the plain-text scenarios of `tests/scenarios/` against the monitor's `decide`.
//!
//! A line is one event or one expectation; `#` begins a comment:
//!
//! ```text
//! node 1 primary                     a node that has reached this state (before the first event)
//! number_sync_standbys 1             the formation's setting (before the first event)
//! register 2                         a node registers
//! report 2 [STATE] [down] [hung] [stopping] [lsn X] [tli N] [cut SECONDS] [old] [epoch N]
//!                                    a report; without a state: its goal, reached. `old`: not under the newest
//!                                    assignment. `cut`: it receives nothing since then
//! silent 1 6                         its keeper has been silent for so many seconds, and its probes fail
//! mute 1 6                           its keeper is silent, and its probes succeed
//! restart                            the monitor was restarted: nobody has reported to it
//! tick | failover | promote 2 | remove 2 [force] | maintenance 2 on|off
//! priority 2 50 | quorum 2 on|off | sync 1 | moved 2
//! goals 1=demoted 2=wait_primary     the goals of all nodes now
//! rule NAME                          the last decision followed this rule
//! quiet                              the last decision changed nothing
//! refused TEXT                       the last event was refused with a message that has this text
//! ```

use std::fs;
use std::path::Path;
use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, Refusal, decide};
use pgaf_core::{
    CommitRule, Epoch, Group, GroupId, Health, Lsn, Node, NodeId, ReplicationState, Timeline, Upstream,
};

struct World {
    group: Group,
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
        Self { group, last: None }
    }

    fn line(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let node = |index: usize| -> Result<NodeId, String> {
            Ok(NodeId(number(words.get(index).ok_or("a node id is missing")?)?))
        };
        match words[0] {
            "node" => self.add_node(node(1)?, state(words[2])?),
            "number_sync_standbys" => self.group.number_sync_standbys = number(words[1])?,
            "register" => {
                self.add_node(node(1)?, ReplicationState::Init);
                self.event(Event::Registered(node(1)?));
            }
            "report" => self.report(node(1)?, &words[2..])?,
            "silent" | "mute" => self.silence(node(1)?, number(words[2])?, words[0] == "silent")?,
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
            "moved" => self.event(Event::NodeMoved(node(1)?)),
            "goals" => return self.expect_goals(&words[1..].join(" ")),
            "rule" => return self.expect_rule(words[1]),
            "quiet" => return self.expect_quiet(),
            "refused" => return self.expect_refusal(&words[1..].join(" ")),
            other => return Err(format!("unknown word \"{other}\"")),
        }
        Ok(())
    }

    fn add_node(&mut self, id: NodeId, reached: ReplicationState) {
        if reached == ReplicationState::Primary {
            self.group.commit_rules = vec![CommitRule { standbys: vec![NodeId(2)], acks: 1 }];
        } else if reached.is_writer() {
            self.group.commit_rules = vec![CommitRule::ASYNCHRONOUS];
        }
        let is_standby = matches!(reached, ReplicationState::Secondary | ReplicationState::CatchingUp);
        self.group.nodes.push(Node {
            goal: reached,
            goal_epoch: Epoch(1),
            reported: reached,
            reported_epoch: Epoch(1),
            lsn: Lsn(0x300_0000),
            upstream: is_standby.then_some(Upstream { is_streaming: true, silent_ms: 0 }),
            has_reported: true,
            health: Health::Good,
            ..Node::new(id)
        });
        self.group.nodes.sort_by_key(|node| node.id);
    }

    fn find(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.group.nodes.iter_mut().find(|node| node.id == id).ok_or(format!("no node {id}"))
    }

    fn report(&mut self, id: NodeId, words: &[&str]) -> Outcome {
        let node = self.find(id)?;
        let goal = node.goal;
        node.reported = goal;
        node.reported_epoch = node.goal_epoch;
        node.is_running = !goal.is_retiring() && goal != ReplicationState::WaitStandby;
        node.is_stopping = false;
        node.is_hung = false;
        node.silent_for = Duration::ZERO;
        node.has_reported = true;
        node.health = Health::Good;
        node.upstream = None;
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
                "tli" => node.timeline = Timeline(number(value()?)?),
                "epoch" => node.reported_epoch = Epoch(number(value()?)?),
                "cut" => cut = Some(number::<u64>(value()?)?),
                reported => node.reported = state(reported)?,
            }
        }
        if matches!(node.reported, ReplicationState::Secondary | ReplicationState::CatchingUp) {
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

    fn restart(&mut self) {
        self.group.monitor_uptime = Duration::ZERO;
        for node in &mut self.group.nodes {
            node.silent_for = Duration::ZERO;
            node.has_reported = false;
        }
    }

    fn event(&mut self, event: Event) {
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
