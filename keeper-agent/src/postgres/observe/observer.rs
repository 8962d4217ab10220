//! Looks at the local Postgres: its files, its processes, and what it says. Never fails: what cannot be seen is part
//! of what is observed. Each look has a deadline, so that a hung server or file system does not hang the keeper: when the
//! files do not answer, nothing else is asked of them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use pgaf_core::keeper::{Cluster, DataDirectory, Observation, Observed, Server};
use pgaf_core::lsn::{Timeline, TimelineHistory};
use pgaf_core::message::{Peer, Upstream};

use crate::postgres::configuration::settings;
use crate::postgres::data::{
    ControlData, assemble, control_data::CONTROL_FILE, history, marker, start::STANDBY_SIGNAL, wal,
};
use crate::postgres::server::{BootTime, InstanceConfig, LocalServer, PostgresError, Postmaster};

use super::contact::Contacts;
use super::lineage::{self, Question};
use super::listening::{Listening, Reply};
use super::running::{Answer, Context};

/// While the server runs, its control file changes often, and little of it is needed.
const CONTROL_REFRESH: Duration = Duration::from_secs(10);

/// What is kept between two looks.
#[derive(Default)]
pub(crate) struct Observer {
    control: Option<KnownControl>,
    listening: Listening,
    contacts: Contacts,
    /// The highest timeline that this postmaster was seen to receive.
    received: Option<(i32, Timeline)>,
}

struct KnownControl {
    file: Fingerprint,
    read_at: BootTime,
    data: ControlData,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What the files say, before the control file is read.
enum Files {
    Missing,
    Incomplete,
    Damaged,
    Cluster {
        control: Fingerprint,
        is_standby: bool,
    },
    /// They do not answer.
    Hung,
}

/// What is known of the data directory.
struct Data {
    directory: DataDirectory,
    control: Option<ControlData>,
    is_hung: bool,
}

impl From<DataDirectory> for Data {
    fn from(directory: DataDirectory) -> Self {
        Self { directory, control: None, is_hung: false }
    }
}

impl Observer {
    pub(crate) async fn observe(&mut self, instance: &LocalServer, upstream: Option<&Peer>) -> Observation {
        let config = instance.config();
        // Who was heard when is known by the time of the question: it does not wait for the disk.
        let (files, (server, answer)) = tokio::join!(look_at_files(instance), async {
            match instance.postmaster().await {
                Ok(postmaster) => self.server(instance, &config, postmaster.as_deref()).await,
                // There may be one, and whatever it does is not seen.
                Err(error) => {
                    tracing::error!("{error}");
                    (Server::Unresponsive, None)
                }
            }
        });
        let Data { directory: data, control, is_hung } = self.data(&config, &server, files).await;
        let history = if is_hung { None } else { history_of(instance, &server, &data).await };
        let found = match (upstream, &control) {
            (Some(upstream), Some(control)) => {
                let question = Question {
                    upstream,
                    control,
                    server: &server,
                    is_stream_steady: self.contacts.is_stream_steady(),
                    is_waiting: answer.as_ref().is_some_and(Answer::is_waiting),
                    awaited_segment: self.listening.awaited_segment(),
                };
                lineage::find(instance, &question).await
            }
            _ => lineage::Answer::default(),
        };
        let is_rewind_hopeless = found.needs_copy
            || upstream.is_some_and(|peer| instance.state().hopeless_rewind_to == Some(peer.node));
        let is_shut_down = server == Server::Stopped && matches!(data, DataDirectory::Present(_));
        Observation {
            shutdown_lsn: control.and_then(|control| control.end_of_primary()).filter(|_| is_shut_down),
            history,
            notice: answer
                .as_ref()
                .and_then(Answer::why_commits_do_not_wait)
                .or_else(|| instance.state().notice.clone().filter(|_| !is_shut_down)),
            observed: Observed {
                data,
                server,
                lineage: found.lineage,
                is_rewind_hopeless,
                memory: Default::default(),
            },
            upstream: answer
                .as_ref()
                .filter(|answer| answer.is_in_recovery)
                .map(|answer| self.upstream(answer)),
            quorum_contact: self.contacts.quorum_contact().map(BootTime::moment),
            copied_percent: instance.progress(),
            is_disk_hung: is_hung,
            server_start: answer.as_ref().map(|answer| answer.server_start),
            sync_state: answer.map(|answer| answer.sync_state()).unwrap_or_default(),
        }
    }

    fn upstream(&self, answer: &Answer) -> Upstream {
        let silent = self.contacts.upstream_silence().as_millis();
        Upstream {
            is_streaming: answer.receiver.as_ref().is_some_and(|row| row.is_streaming()),
            silent_ms: u64::try_from(silent).unwrap_or(u64::MAX),
        }
    }

    async fn server(
        &mut self,
        instance: &LocalServer,
        config: &Arc<InstanceConfig>,
        postmaster: Option<&Postmaster>,
    ) -> (Server, Option<Answer>) {
        let Some(postmaster) = postmaster else {
            self.listening.forget();
            return (Server::Stopped, None);
        };
        let asked = BootTime::now();
        let answer = match self.listening.ask(instance, postmaster.pid()).await {
            Reply::Answer(answer) => *answer,
            Reply::Starting => return (Server::Starting, None),
            Reply::Refused => return (Server::Refusing, None),
            Reply::Nothing if postmaster.has_ended() => {
                return (Server::Stopped, None);
            }
            Reply::Nothing => return (Server::Unresponsive, None),
        };
        self.contacts.note(&answer, asked);
        instance.state().measured = answer.measured();
        if !answer.is_gated {
            instance.reserve().fill(instance.files(), config, postmaster.pid()).await;
        }
        let timeline = self.standby_timeline(instance, postmaster.pid(), &answer).await;
        let (followed, replay_over) = {
            let state = instance.state();
            (state.followed_names.clone(), state.replay_over)
        };
        let running = answer.running(&Context {
            is_short_of_settings: self.is_short_of_settings(instance, &answer).await,
            slot_name: settings::slot_name(config, true),
            timeline,
            followed_names: followed
                .as_ref()
                .filter(|(pid, _)| *pid == postmaster.pid())
                .map(|(_, names)| names.as_str()),
            replay_over_at: replay_over.filter(|(pid, _)| *pid == postmaster.pid()).map(|(_, end)| end),
            is_fresh: &|walsender| self.contacts.is_fresh(walsender),
        });
        (Server::Running(running), Some(answer))
    }

    /// Replay has paused, and the WAL requires more than this server was started with.
    async fn is_short_of_settings(&mut self, instance: &LocalServer, answer: &Answer) -> bool {
        if !answer.is_replay_paused {
            return false;
        }
        let control = self.newest_control(instance).await;
        control.is_some_and(|control| !answer.settings.is_enough_for(&control.recovery_settings))
    }

    /// The timeline a standby replays. SQL does not tell it; a walreceiver does, while there is one, the control file,
    /// some time after, and the segments it has.
    async fn standby_timeline(
        &mut self,
        instance: &LocalServer,
        postmaster: i32,
        answer: &Answer,
    ) -> Timeline {
        let row = answer.receiver.as_ref();
        if let Some(timeline) = row.and_then(|row| row.timeline).map(Timeline) {
            let known = self.received.filter(|(pid, _)| *pid == postmaster);
            let highest = known.map_or(timeline, |(_, known)| known.max(timeline));
            self.received = Some((postmaster, highest));
            return highest;
        }
        let known = self
            .received
            .filter(|(pid, _)| *pid == postmaster)
            .map_or(Timeline::FIRST, |(_, timeline)| timeline);
        if !answer.is_in_recovery {
            return known;
        }
        let Some(control) = self.newest_control(instance).await else { return known };
        let (config, end) = (instance.config(), answer.replayed.unwrap_or_default());
        let look = move || Ok(wal::timeline_before(&config.pgdata, end, control.wal_segment_bytes));
        let received = instance.files().look("looking at the local WAL", look).await.ok().flatten();
        control.timeline.max(known).max(received.unwrap_or(Timeline::FIRST))
    }

    async fn data(&mut self, config: &InstanceConfig, server: &Server, files: Files) -> Data {
        let (file, is_standby) = match files {
            Files::Missing => return DataDirectory::Missing.into(),
            Files::Incomplete => return DataDirectory::Incomplete.into(),
            Files::Damaged => return DataDirectory::Damaged.into(),
            Files::Hung => return self.last_known(),
            Files::Cluster { control, is_standby } => (control, is_standby),
        };
        let patience = match server {
            Server::Running(_) => CONTROL_REFRESH,
            _ => Duration::ZERO,
        };
        let control = match self.control(config, file, patience).await {
            Ok(control) => control,
            Err(PostgresError::TimedOut { .. }) => return self.last_known(),
            Err(_) => return DataDirectory::Damaged.into(),
        };
        let is_up = *server != Server::Stopped;
        let cluster = Cluster {
            system_identifier: control.system_identifier,
            timeline: control.timeline,
            checkpoint: control.checkpoint,
            is_clean: control.is_clean() && !is_up,
            is_standby: is_standby || (control.was_in_recovery() && !is_up),
        };
        Data { directory: DataDirectory::Present(cluster), control: Some(control), is_hung: false }
    }

    /// A file system that hangs says nothing new. Nobody makes a plan for the files on what is told then.
    fn last_known(&self) -> Data {
        let directory = self.control.as_ref().map_or(DataDirectory::Damaged, |known| {
            DataDirectory::Present(Cluster {
                system_identifier: known.data.system_identifier,
                timeline: known.data.timeline,
                checkpoint: known.data.checkpoint,
                is_clean: false,
                is_standby: known.data.was_in_recovery(),
            })
        });
        Data { directory, control: None, is_hung: true }
    }

    /// The control data of now.
    async fn newest_control(&mut self, instance: &LocalServer) -> Option<ControlData> {
        let config = instance.config();
        let of_file = Arc::clone(&config);
        let look = move || Ok(fingerprint(&of_file));
        let file = instance.files().look("looking at the control file", look).await.ok().flatten()?;
        self.control(&config, file, Duration::ZERO).await.ok()
    }

    /// The control data, read again when the file has changed, but not more often than `patience` says.
    async fn control(
        &mut self,
        config: &InstanceConfig,
        file: Fingerprint,
        patience: Duration,
    ) -> Result<ControlData, PostgresError> {
        if let Some(known) = &self.control {
            let is_recent = !patience.is_zero() && known.read_at.elapsed() < patience;
            if known.file == file || is_recent {
                return Ok(known.data);
            }
        }
        // The server may be writing it: once more, then.
        let mut read = ControlData::read(config).await;
        let is_late = |error: &PostgresError| matches!(error, PostgresError::TimedOut { .. });
        if read.as_ref().is_err_and(|error| !is_late(error)) {
            read = ControlData::read(config).await;
        }
        match &read {
            Ok(data) => self.control = Some(KnownControl { file, read_at: BootTime::now(), data: *data }),
            Err(error) => {
                tracing::error!("{error}");
                // What was known is still the last that the disk has told.
                if !is_late(error) {
                    self.control = None;
                }
            }
        }
        read
    }
}

async fn history_of(
    instance: &LocalServer,
    server: &Server,
    data: &DataDirectory,
) -> Option<TimelineHistory> {
    let timeline = match (server, data) {
        (Server::Running(running), DataDirectory::Present(_)) => running.timeline,
        (_, DataDirectory::Present(cluster)) => cluster.timeline,
        _ => return None,
    };
    let config = instance.config();
    let read = move || Ok(history::read(&config.pgdata, timeline));
    instance.files().look("reading the timeline history", read).await.ok().flatten()
}

async fn look_at_files(instance: &LocalServer) -> Files {
    let config = instance.config();
    match instance.files().look("looking at the data directory", move || Ok(look(&config))).await {
        Ok(files) => files,
        Err(error) => {
            tracing::debug!("{error}");
            Files::Hung
        }
    }
}

/// The data directory, what is in it, and the first file that every program of Postgres reads. What a server that runs
/// reads again and again is read, too: all of this answers from memory, unless the disk hangs.
fn look(config: &InstanceConfig) -> Files {
    if assemble::is_empty(&config.pgdata).unwrap_or(true) {
        return Files::Missing;
    }
    if marker::is_set(config) {
        return Files::Incomplete;
    }
    // What they say is of no interest here.
    let _ = fs::read(config.in_pgdata("postmaster.pid"));
    if fs::read(config.in_pgdata(CONTROL_FILE)).is_err() {
        return Files::Damaged;
    }
    match fingerprint(config) {
        None => Files::Damaged,
        Some(control) => Files::Cluster { control, is_standby: config.in_pgdata(STANDBY_SIGNAL).exists() },
    }
}

fn fingerprint(config: &InstanceConfig) -> Option<Fingerprint> {
    let metadata = fs::metadata(config.in_pgdata(CONTROL_FILE)).ok()?;
    Some(Fingerprint {
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}
