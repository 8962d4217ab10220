//! A scenario: what happens to a group in plain text, played against the monitor's `decide`.
//!
//! A line is one event or one expectation; `#` begins a comment:
//!
//! ```text
//! node 1 primary [async] [priority N] [lsn X] [tli N]
//!                                    a node that has reached this state (before the first event)
//! number_sync_standbys 1             the formation's setting (before the first event)
//! worker_group 2                     the group is one of workers, in a Citus formation (before the first event)
//! elsewhere 1                        the smallest quorum in another group of the formation (before the first event)
//! timeouts 5 10 16777216             unhealthy_after and startup_grace in seconds, and how many bytes are near
//! register 2 [STATE] [nodata] [lsn X] a node registers, in this state if it has data
//! report 2 [STATE] [up|down] [hung] [gated] [stopping] [lsn X] [tli N [from X,X|-]] [end X] [fences S]
//!          [streams|cut SECONDS|alone] [nodata] [old] [epoch N] [health H]
//!                                    a report; without a state: its goal, reached. `old`: not under the newest
//!                                    assignment. `cut`: it receives nothing since then; `alone`: from nobody. `from`:
//!                                    where each timeline before left its parent (- for the first). `fences`: it fences itself
//!                                    after so many seconds without a word, as before if not said. `end`: shut down
//!                                    cleanly there. `health`: what the probes say; good, if nothing else is said
//! row 2 [silent S] [age S] [health good|bad|unknown] [unreported]
//!                                    what time has made of a row: since its report, since its goal was assigned; no
//!                                    report to this run of the monitor
//! uptime 3                           the monitor has been up for so many seconds
//! back_up | restore                  the rows are copied; a monitor starts on the copy
//! silent 1 6                         its keeper has been silent for so many seconds, and its probes fail
//! lost 1 6                           the same, and its standbys have received nothing for so long
//! mute 1 6                           its keeper is silent, and its probes succeed
//! ended 1 [SECONDS] | refuses 1 [no] its keeper's session has ended without a word, so long ago; its port refuses
//!                                    connections
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

mod expect;
mod report;

use std::time::Duration;

use pgaf_core::monitor::{Decision, Event, Refusal, decide};
use pgaf_core::{
    Epoch, FormationKind, Group, GroupId, Health, Lsn, Node, NodeId, ReplicationState, Timeline, Timeouts,
    Upstream,
};

/// The rows of a group, and what was decided last.
pub(crate) struct World {
    pub(crate) group: Group,
    backup: Option<Group>,
    /// Something has happened.
    is_begun: bool,
    pub(crate) last: Option<Result<Decision, Refusal>>,
}

pub(crate) type Outcome = Result<(), String>;

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("\"{word}\" is not a number"))
}

fn health(word: &str) -> Result<Health, String> {
    let all = [Health::Unknown, Health::Bad, Health::Good];
    all.into_iter().find(|health| health.as_str() == word).ok_or(format!("\"{word}\" is no health"))
}

fn state(word: &str) -> Result<ReplicationState, String> {
    word.parse().map_err(|error| format!("{error}"))
}

impl World {
    pub(crate) fn new() -> Self {
        let mut group = Group::new("default", GroupId(0));
        // Times in scenarios are whole seconds.
        group.timeouts.unhealthy_after = Duration::from_secs(5);
        Self { group, backup: None, is_begun: false, last: None }
    }

    /// Plays one line, which has a word.
    pub(crate) fn line(&mut self, line: &str) -> Outcome {
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
            "elsewhere" => self.group.fewest_standbys_elsewhere = Some(number(words[1])?),
            "number_sync_standbys" => self.group.number_sync_standbys = number(words[1])?,
            "register" => {
                self.is_begun = true;
                let reported = words.get(2).map_or(Ok(ReplicationState::Init), |word| state(word))?;
                self.add_node(node(1)?, reported, words.get(3..).unwrap_or_default())?;
                self.find(node(1)?)?.goal = ReplicationState::Init;
                self.event(Event::Registered(node(1)?));
            }
            "report" => self.report(node(1)?, &words[2..])?,
            "silent" | "mute" => self.silence(node(1)?, number(words[2])?, words[0] == "silent")?,
            "lost" => {
                self.silence(node(1)?, number(words[2])?, true)?;
                self.cut_standbys(number(words[2])?);
            }
            "ended" => {
                let seconds = words.get(2).map_or(Ok(0), |word| number(word))?;
                self.find(node(1)?)?.session_ended_for = Some(Duration::from_secs(seconds));
            }
            "refuses" => self.find(node(1)?)?.is_refusing = words.get(2) != Some(&"no"),
            "row" => self.row(node(1)?, &words[2..])?,
            "uptime" => self.group.monitor_uptime = Duration::from_secs(number(words[1])?),
            "timeouts" => self.timeouts(&words[1..])?,
            "back_up" => self.backup = Some(self.group.clone()),
            "restore" => {
                self.group = self.backup.clone().ok_or("there is no copy of the rows")?;
                self.restart();
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
            "paused" => {
                self.group.is_failover_paused = words[1] == "on";
                self.event(Event::Tick);
            }
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
                "nodata" => node.has_data = false,
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

    fn silence(&mut self, id: NodeId, seconds: u64, is_unreachable: bool) -> Outcome {
        let node = self.find(id)?;
        node.silent_for = Duration::from_secs(seconds);
        node.health = if is_unreachable { Health::Bad } else { Health::Good };
        Ok(())
    }

    fn row(&mut self, id: NodeId, words: &[&str]) -> Outcome {
        let node = self.find(id)?;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match *word {
                "silent" => node.silent_for = Duration::from_secs(number(value()?)?),
                "age" => node.goal_age = Duration::from_secs(number(value()?)?),
                "health" => node.health = health(value()?)?,
                "unreported" => node.has_reported = false,
                other => return Err(format!("unknown word \"{other}\"")),
            }
        }
        Ok(())
    }

    fn timeouts(&mut self, words: &[&str]) -> Outcome {
        let [unhealthy_after, startup_grace, near] = words else {
            return Err("three numbers are wanted".to_owned());
        };
        self.group.timeouts = Timeouts {
            unhealthy_after: Duration::from_secs(number(unhealthy_after)?),
            startup_grace: Duration::from_secs(number(startup_grace)?),
            enable_sync_lag_bytes: number(near)?,
            promote_lag_bytes: number(near)?,
        };
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
            node.session_ended_for = None;
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
}

/// Plays a text; says which line of it did not come out as written.
pub(crate) fn play(text: &str) -> Outcome {
    let mut world = World::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        world.line(line).map_err(|error| format!("{}: {line}: {error}", index + 1))?;
        let writers = world.group.nodes.iter().filter(|node| node.goal.is_writer()).count();
        if writers > 1 {
            return Err(format!("{}: {writers} writers", index + 1));
        }
    }
    Ok(())
}
