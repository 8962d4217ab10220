//! How the local log relates to that of the node to be followed: behind it, or forked from it.

use std::time::Duration;

use pgaf_core::keeper::{Receiver, Running, Server};
use pgaf_core::lsn::{Lineage, Lsn, Timeline};
use pgaf_core::message::Peer;

use super::config::InstanceConfig;
use super::control_data::ControlData;
use super::error::PostgresError;
use super::files;
use super::remote::{RemoteSession, Source};
use super::wal;

/// How long the other node may take to answer.
const DEADLINE: Duration = Duration::from_millis(1500);

/// Asks the upstream, unless a stream from it flows, which is an answer. `None` when it cannot be asked, is another
/// cluster, or when there is nothing to compare.
pub(super) async fn find(
    config: &InstanceConfig,
    upstream: &Peer,
    control: &ControlData,
    server: &Server,
) -> Option<Lineage> {
    let running = match server {
        Server::Running(running) if !running.is_in_recovery => return None,
        Server::Running(running) if streams_from(running, upstream) => {
            return Some(Lineage::Behind);
        }
        Server::Running(running) => Some(running),
        Server::Stopped => None,
        Server::Starting | Server::Unresponsive => return None,
    };
    match ask(config, upstream).await {
        Ok(source) if source.system_identifier != control.system_identifier => {
            tracing::error!(
                "node {} \"{}\" has another system identifier: {} instead of {}",
                upstream.node,
                upstream.name,
                source.system_identifier,
                control.system_identifier
            );
            None
        }
        Ok(source) => Some(match running {
            Some(running) => of_running(&source, running.timeline, running.lsn),
            None => of_stopped(config, &source, control).await?,
        }),
        Err(error) => {
            tracing::debug!("node {} cannot be asked: {error}", upstream.node);
            None
        }
    }
}

async fn ask(config: &InstanceConfig, upstream: &Peer) -> Result<Source, PostgresError> {
    RemoteSession::open(config, upstream, DEADLINE).await?.ask().await
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
async fn of_stopped(config: &InstanceConfig, source: &Source, control: &ControlData) -> Option<Lineage> {
    let Some(parting) = parting(source, control.timeline) else {
        return Some(Lineage::Forked);
    };
    if control.checkpoint >= parting || control.minimum_recovery_end > parting {
        return Some(Lineage::Forked);
    }
    let pgdata = config.pgdata.clone();
    let (timeline, segment) = (control.timeline, control.wal_segment_bytes);
    let look = files::blocking("looking at the end of the log", move || {
        Ok(wal::has_record_at(&pgdata, timeline, parting, segment))
    });
    match look.await {
        Ok(true) => Some(Lineage::Forked),
        Ok(false) => Some(Lineage::Behind),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
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
    use pgaf_core::lsn::TimelineHistory;

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
}
