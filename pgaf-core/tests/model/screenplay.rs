//! A trace as a scenario: what the monitor saw of it, in the words that `tests/scenarios.rs` plays.

use std::fmt::Write as _;
use std::time::Duration;

use pgaf_core::monitor::Event;
use pgaf_core::{Group, Health, Node, Upstream};

use super::scenario::World as Stage;
use super::story::Chapter;
use super::world::World;

/// The trace that led to this situation; the world was told from the start.
pub(crate) fn write(end: &World) -> String {
    let mut play = Play { stage: Stage::new(), text: String::new() };
    for chapter in end.story.chapters() {
        play.chapter(chapter);
    }
    if let Some(violation) = &end.violation {
        let _ = writeln!(play.text, "# violated: {}: {}", violation.invariant, violation.what);
    }
    play.text
}

/// What was written so far, and what it makes of the rows.
struct Play {
    stage: Stage,
    text: String,
}

impl Play {
    fn chapter(&mut self, chapter: &Chapter) {
        match chapter {
            Chapter::Told(what) => self.text.push_str(&format!("# {what}\n")),
            Chapter::Restarted => self.line("restart"),
            Chapter::BackedUp => self.line("back_up"),
            Chapter::Restored => self.line("restore"),
            Chapter::Decided { before, event, after } => self.decision(before, event, after.as_deref()),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        if let Err(why) = self.stage.line(line) {
            self.text.push_str(&format!("# which does not play: {why}\n"));
        }
    }

    fn decision(&mut self, before: &Group, event: &Event, after: Option<&Group>) {
        if self.stage.last.is_none() {
            self.line(&format!("number_sync_standbys {}", before.number_sync_standbys));
        }
        if self.stage.group.timeouts != before.timeouts {
            self.timeouts(before);
        }
        let goals = goals_of(&self.stage.group);
        self.times(before);
        let Some(line) = self.event(before, event) else {
            self.text.push_str(&format!("# {event:?}\n"));
            return;
        };
        self.line(&line);
        let Some(after) = after else {
            self.text.push_str("refused\n");
            return;
        };
        if goals_of(after) != goals {
            self.line(&format!("goals {}", goals_of(after)));
        }
        let rule = match &self.stage.last {
            Some(Ok(decision)) => decision.changes.last().map(|change| change.rule),
            _ => None,
        };
        if let Some(rule) = rule {
            self.line(&format!("rule {rule}"));
        }
    }

    fn timeouts(&mut self, group: &Group) {
        let timeouts = &group.timeouts;
        self.line(&format!(
            "timeouts {} {} {}",
            timeouts.unhealthy_after.as_secs(),
            timeouts.startup_grace.as_secs(),
            timeouts.enable_sync_lag_bytes
        ));
    }

    /// What time has changed since the last event.
    fn times(&mut self, before: &Group) {
        if self.stage.group.monitor_uptime != before.monitor_uptime {
            self.line(&format!("uptime {}", before.monitor_uptime.as_secs()));
        }
        for node in &before.nodes {
            let Some(known) = self.stage.group.node(node.id) else { continue };
            let mut line = format!("row {}", node.id);
            let mut set = |is_other: bool, what: &str, value: &str| {
                if is_other {
                    line.push_str(&format!(" {what}{value}"));
                }
            };
            set(known.silent_for != node.silent_for, "silent ", &seconds(node.silent_for));
            set(known.goal_age != node.goal_age, "age ", &seconds(node.goal_age));
            set(known.health != node.health, "health ", node.health.as_str());
            set(known.has_reported && !node.has_reported, "unreported", "");
            let ended = node.session_ended_for.filter(|_| known.session_ended_for != node.session_ended_for);
            let refuses = (known.is_refusing != node.is_refusing).then_some(node.is_refusing);
            if line != format!("row {}", node.id) {
                self.line(&line);
            }
            if let Some(ended) = ended {
                self.line(&format!("ended {} {}", node.id, ended.as_secs()));
            }
            if let Some(refuses) = refuses {
                self.line(&format!("refuses {}{}", node.id, if refuses { "" } else { " no" }));
            }
        }
    }

    fn event(&self, before: &Group, event: &Event) -> Option<String> {
        let switch = |is_on: bool| if is_on { "on" } else { "off" };
        Some(match event {
            Event::Tick => "tick".to_owned(),
            Event::Registered(id) => registration(before.node(*id)?),
            Event::Reported(id) => self.report(before.node(*id)?)?,
            Event::PerformFailover => "failover".to_owned(),
            Event::PerformPromotion(id) => format!("promote {id}"),
            Event::FailoverWithDataLoss { who } => format!("give_up_commits {who}"),
            Event::Remove { node, force } => format!("remove {node}{}", if *force { " force" } else { "" }),
            Event::StartMaintenance(id) => format!("maintenance {id} on"),
            Event::StopMaintenance(id) => format!("maintenance {id} off"),
            Event::SetCandidatePriority(id, priority) => format!("priority {id} {priority}"),
            Event::SetReplicationQuorum(id, is_member) => format!("quorum {id} {}", switch(*is_member)),
            Event::SetNumberSyncStandbys(number) => format!("sync {number}"),
            _ => return None,
        })
    }

    /// The report that made the row what it is.
    fn report(&self, node: &Node) -> Option<String> {
        let known = self.stage.group.node(node.id)?;
        let mut words = vec![format!("report {} {}", node.id, node.reported)];
        words.push(if node.is_running { "up" } else { "down" }.to_owned());
        let mut flag = |is_set: bool, word: &str| words.extend(is_set.then(|| word.to_owned()));
        flag(node.is_hung, "hung");
        flag(node.is_gated, "gated");
        flag(node.is_stopping, "stopping");
        flag(!node.has_data, "nodata");
        words.push(format!("lsn {} tli {}", node.lsn, node.timeline));
        if let Some(history) = &node.history {
            let left_at: Vec<String> = history.ancestors.iter().map(|(_, lsn)| lsn.to_string()).collect();
            words.push(format!(
                "from {}",
                if left_at.is_empty() { "-".to_owned() } else { left_at.join(",") }
            ));
        }
        words.extend(node.fence_after.map(|time| format!("fences {}", time.as_secs())));
        words.extend(node.shutdown_lsn.map(|lsn| format!("end {lsn}")));
        words.push(match node.upstream {
            Some(Upstream { is_streaming: true, .. }) => "streams".to_owned(),
            Some(Upstream { silent_ms, .. }) => format!("cut {}", silent_ms / 1000),
            None => "alone".to_owned(),
        });
        let newer = node.reported_epoch.0 - node.goal_epoch.0;
        match newer {
            0 => {}
            newer if newer < 0 => words.push("old".to_owned()),
            newer => words.push(format!("epoch {}", known.goal_epoch.0 + newer)),
        }
        if node.health != Health::Good {
            words.push(format!("health {}", node.health.as_str()));
        }
        Some(words.join(" "))
    }
}

fn registration(node: &Node) -> String {
    let data = if node.has_data { "" } else { " nodata" };
    format!("register {} {}{data} lsn {}", node.id, node.reported, node.lsn)
}

fn seconds(time: Duration) -> String {
    time.as_secs().to_string()
}

fn goals_of(group: &Group) -> String {
    let goals: Vec<String> = group.nodes.iter().map(|node| format!("{}={}", node.id, node.goal)).collect();
    goals.join(" ")
}
