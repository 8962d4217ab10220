//! How the local log relates to that of the node to be followed: behind it, or forked from it.

use std::time::Duration;

use pgaf_core::keeper::{Receiver, Running, Server};
use pgaf_core::lsn::{Lineage, Lsn, Timeline, TimelineHistory};
use pgaf_core::message::Peer;

use crate::postgres::data::{ControlData, history, wal};
use crate::postgres::replication::remote::{RemoteSession, Source};
use crate::postgres::server::{InstanceConfig, LocalServer, PostgresError};

/// How long the other node may take to answer.
const DEADLINE: Duration = Duration::from_millis(1500);

/// What is asked about.
pub(crate) struct Question<'a> {
    pub(crate) upstream: &'a Peer,
    pub(crate) control: &'a ControlData,
    pub(crate) server: &'a Server,
    /// It streams from there, and has done so for a while: an answer by itself.
    pub(crate) is_stream_steady: bool,
    /// It waits for WAL that it can only get from there.
    pub(crate) is_waiting: bool,
    /// It starts, and cannot go on without this segment.
    pub(crate) awaited_segment: Option<&'a str>,
}

/// The answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `None` when the upstream cannot be asked, is another cluster, or when there is nothing to compare.
    pub(crate) lineage: Option<Lineage>,
    /// Only a copy helps: the upstream has removed WAL that is needed here, or pg_rewind would see no fork.
    pub(crate) needs_copy: bool,
}

impl From<Lineage> for Answer {
    fn from(lineage: Lineage) -> Self {
        Self { lineage: Some(lineage), needs_copy: false }
    }
}

/// The local log: its timeline, and the history of that, when there is a file that tells it.
struct Branch {
    timeline: Timeline,
    history: Option<TimelineHistory>,
}

impl Branch {
    async fn read(server: &LocalServer, timeline: Timeline) -> Result<Self, PostgresError> {
        let pgdata = server.config().pgdata.clone();
        let read = move || Ok(history::read(&pgdata, timeline));
        let history = server.files().look("reading the timeline history", read).await?;
        Ok(Self { timeline, history })
    }

    /// It is no part of the source's history, wherever it ends.
    fn is_foreign_to(&self, source: &Source) -> bool {
        let lineage_at_beginning = match &self.history {
            Some(history) => source.history.lineage_of_log(history, Lsn::ZERO),
            None => source.history.lineage_of(self.timeline, Lsn::ZERO),
        };
        lineage_at_beginning == Lineage::Forked
    }

    /// pg_rewind tells timelines apart by their numbers alone: where these are equal it does nothing.
    fn fork_from(&self, source: &Source) -> Answer {
        let needs_copy = self.timeline == source.history.timeline;
        Answer { lineage: Some(Lineage::Forked), needs_copy }
    }
}

/// Asks the upstream, unless a steady stream from it flows.
pub(crate) async fn find(server: &LocalServer, question: &Question<'_>) -> Answer {
    let upstream = question.upstream;
    let running = match question.server {
        Server::Running(running) if !running.is_in_recovery => return Answer::default(),
        Server::Running(running) if question.is_stream_steady && streams_from(running, upstream) => {
            return Lineage::Behind.into();
        }
        Server::Running(running) => Some(running),
        Server::Stopped => None,
        Server::Starting if question.awaited_segment.is_some() => None,
        Server::Starting | Server::Unresponsive | Server::Refusing => return Answer::default(),
    };
    let answer = match question.awaited_segment {
        Some(segment) if *question.server == Server::Starting => {
            await_segment(&server.config(), question, segment).await
        }
        _ => compare(server, question, running).await,
    };
    match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!("could not query node {}: {error}", upstream.node);
            Answer::default()
        }
    }
}

async fn ask(
    config: &InstanceConfig,
    question: &Question<'_>,
) -> Result<(RemoteSession, Source), PostgresError> {
    let session = RemoteSession::open(config, question.upstream, DEADLINE).await?;
    let source = session.ask().await?;
    let own = question.control.system_identifier;
    if source.system_identifier != own {
        return Err(PostgresError::Refused(format!(
            "its system identifier is {}, not {own}",
            source.system_identifier
        )));
    }
    Ok((session, source))
}

/// A server that starts can only wait for a segment that the upstream still has, or has still to fill.
async fn await_segment(
    config: &InstanceConfig,
    question: &Question<'_>,
    segment: &str,
) -> Result<Answer, PostgresError> {
    let Some((number, end)) = wal::segment_of_name(segment, question.control.wal_segment_bytes) else {
        return Ok(Answer::default());
    };
    let (session, source) = ask(config, question).await?;
    if end > source.end || session.has_segment(number).await? {
        return Ok(Answer::default());
    }
    Ok(needs_removed_wal(question.upstream))
}

fn needs_removed_wal(upstream: &Peer) -> Answer {
    tracing::warn!(
        "node {} \"{}\" has removed WAL that this node needs: the data will be copied again",
        upstream.node,
        upstream.name
    );
    Answer { lineage: Some(Lineage::Forked), needs_copy: true }
}

async fn compare(
    server: &LocalServer,
    question: &Question<'_>,
    running: Option<&Running>,
) -> Result<Answer, PostgresError> {
    let control = question.control;
    let (session, source) = ask(&server.config(), question).await?;
    let timeline = running.map_or(control.timeline, |running| running.timeline);
    let branch = Branch::read(server, timeline).await?;
    if branch.is_foreign_to(&source) {
        return Ok(branch.fork_from(&source));
    }
    let lineage = match running {
        Some(running) => of_running(&source, running.timeline, running.lsn),
        None => of_stopped(server, &source, control).await?,
    };
    if lineage == Lineage::Forked {
        return Ok(branch.fork_from(&source));
    }
    let needs_wal = running.filter(|running| question.is_waiting && running.replayed < source.end);
    if let Some(running) = needs_wal {
        let segment = wal::segment_number_name(running.replayed, control.wal_segment_bytes);
        if !session.has_segment(&segment).await? {
            return Ok(needs_removed_wal(question.upstream));
        }
    }
    Ok(lineage.into())
}

fn streams_from(running: &Running, upstream: &Peer) -> bool {
    let follows = running.follows.as_ref();
    running.receiver == Receiver::Streaming
        && follows.is_some_and(|follows| follows.host == upstream.host && follows.port == upstream.port)
}

fn of_running(source: &Source, timeline: Timeline, end: Lsn) -> Lineage {
    // A standby as the source may simply be behind us.
    let is_ahead = timeline == source.history.timeline && !source.is_in_recovery && end > source.end;
    if is_ahead {
        return Lineage::Forked;
    }
    source.history.lineage_of(timeline, end)
}

/// The end of a stopped server's log is not known, but whether it has a record where the histories part.
async fn of_stopped(
    server: &LocalServer,
    source: &Source,
    control: &ControlData,
) -> Result<Lineage, PostgresError> {
    let Some(parting) = parting(source, control.timeline) else {
        return Ok(Lineage::Forked);
    };
    if control.checkpoint >= parting || control.minimum_recovery_end > parting {
        return Ok(Lineage::Forked);
    }
    let pgdata = server.config().pgdata.clone();
    let (timeline, segment) = (control.timeline, control.wal_segment_bytes);
    let look = move || {
        let has_more = wal::has_record_at(&pgdata, timeline, parting, segment);
        Ok(if has_more { Lineage::Forked } else { Lineage::Behind })
    };
    server.files().look("looking at the end of the log", look).await
}

/// Where the source's history leaves our timeline: where it ended it, or how far it got.
fn parting(source: &Source, timeline: Timeline) -> Option<Lsn> {
    if timeline == source.history.timeline {
        return Some(if source.is_in_recovery { Lsn(u64::MAX) } else { source.end });
    }
    let ancestors = &source.history.ancestors;
    ancestors.iter().find(|(ancestor, _)| *ancestor == timeline).map(|(_, left_at)| *left_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(is_in_recovery: bool) -> Source {
        Source {
            system_identifier: 1,
            is_in_recovery,
            history: TimelineHistory { timeline: Timeline(2), ancestors: vec![(Timeline(1), Lsn(100))] },
            end: Lsn(200),
            checkpoint_timeline: Timeline(2),
        }
    }

    #[test]
    fn ahead_of_a_primary_on_its_own_timeline_is_forked() {
        let of = |source: &Source, timeline, end| of_running(source, Timeline(timeline), Lsn(end));
        assert_eq!(of(&source(false), 2, 200), Lineage::Behind);
        assert_eq!(of(&source(false), 2, 201), Lineage::Forked);
        assert_eq!(of(&source(true), 2, 201), Lineage::Behind);
        assert_eq!(of(&source(false), 1, 100), Lineage::Behind);
        assert_eq!(of(&source(false), 1, 101), Lineage::Forked);
    }

    #[test]
    fn histories_part_where_the_timeline_was_left() {
        assert_eq!(parting(&source(false), Timeline(1)), Some(Lsn(100)));
        assert_eq!(parting(&source(false), Timeline(2)), Some(Lsn(200)));
        assert_eq!(parting(&source(false), Timeline(3)), None);
    }

    #[test]
    fn timelines_of_one_number_that_began_elsewhere_are_forks() {
        let branch = |timeline, ancestors: &[(u32, u64)]| Branch {
            timeline: Timeline(timeline),
            history: Some(TimelineHistory {
                timeline: Timeline(timeline),
                ancestors: ancestors.iter().map(|(id, left_at)| (Timeline(*id), Lsn(*left_at))).collect(),
            }),
        };
        let source = source(false);
        assert!(!branch(2, &[(1, 100)]).is_foreign_to(&source));
        assert!(!branch(1, &[]).is_foreign_to(&source));
        assert!(!Branch { timeline: Timeline(2), history: None }.is_foreign_to(&source));
        let other = branch(2, &[(1, 90)]);
        assert!(other.is_foreign_to(&source));
        assert!(other.fork_from(&source).needs_copy, "a rewind would do nothing");
        let newer = branch(3, &[(1, 90)]);
        assert!(newer.is_foreign_to(&source) && !newer.fork_from(&source).needs_copy);
    }
}
