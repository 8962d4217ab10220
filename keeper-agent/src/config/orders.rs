//! What a person has assigned to a node without a monitor: a goal, and the other nodes. Commands write it, and whoever
//! runs the node follows it.

use std::io;
use std::path::Path;

use pgaf_core::{Assignment, CommitRule, Epoch, NodeId, Peer, ReplicationState};
use serde::{Deserialize, Serialize};

use super::atomic_file;
use super::error::ConfigError;
use super::state::KeeperState;

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// What the node should become; `None` for what it was told before.
    pub goal: Option<ReplicationState>,
    /// All nodes of the group, this one too; empty for those that are known already.
    pub nodes: Vec<GroupMember>,
}

/// A node of the group, as people write it into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// Its id.
    pub node_id: NodeId,
    /// Its name.
    pub node_name: String,
    /// Host name or address.
    pub node_host: String,
    /// Port of its Postgres.
    pub node_port: u16,
    /// The standbys follow it.
    pub node_is_primary: bool,
}

impl From<&GroupMember> for Peer {
    fn from(member: &GroupMember) -> Self {
        Self {
            node: member.node_id,
            name: member.node_name.clone(),
            host: member.node_host.clone(),
            port: member.node_port,
        }
    }
}

impl Orders {
    /// The assignment they amount to; `None` when they change nothing.
    pub fn assignment(&self, state: &KeeperState, dbname: &str) -> Option<Assignment> {
        let known = state.assignment.as_ref();
        let goal = self.goal.or(known.map(|known| known.goal))?;
        let mut assignment = known.cloned().unwrap_or_else(|| unassigned(state, dbname));
        if !self.nodes.is_empty() {
            let others = self.nodes.iter().filter(|member| member.node_id != state.node);
            assignment.upstream = others.clone().find(|member| member.node_is_primary).map(Peer::from);
            assignment.peers = others.map(Peer::from).collect();
        }
        assignment.goal = goal;
        if goal.is_writer() {
            assignment.upstream = None;
        }
        let is_as_before = known.is_some_and(|known| known.goal == goal && known.peers == assignment.peers);
        if !is_as_before {
            assignment.commit_rule = commit_rule(goal, &assignment.peers);
        }
        if known == Some(&assignment) {
            return None;
        }
        assignment.epoch = assignment.epoch.next();
        Some(assignment)
    }
}

/// For a node that was told nothing yet.
fn unassigned(state: &KeeperState, dbname: &str) -> Assignment {
    Assignment {
        node: state.node,
        group: state.group,
        epoch: Epoch(0),
        goal: ReplicationState::Init,
        candidate_priority: 50,
        replication_quorum: true,
        commit_rule: CommitRule::ASYNCHRONOUS,
        upstream: None,
        peers: Vec::new(),
        fetch_up_to: None,
        dbname: dbname.to_owned(),
        network_partition_timeout_ms: None,
    }
}

/// Nobody says which standbys keep up: a commit waits for any one.
fn commit_rule(goal: ReplicationState, peers: &[Peer]) -> CommitRule {
    use ReplicationState::{ApplySettings, JoinPrimary, Primary};
    let is_synchronous = matches!(goal, Primary | JoinPrimary | ApplySettings) && !peers.is_empty();
    if is_synchronous {
        CommitRule { standbys: peers.iter().map(|peer| peer.node).collect(), acks: 1 }
    } else {
        CommitRule::ASYNCHRONOUS
    }
}

/// Reads the file; without one there are no orders.
///
/// # Errors
/// A file that cannot be read.
pub fn load(path: &Path) -> Result<Orders, ConfigError> {
    match std::fs::read(path) {
        Ok(content) => parse(path, &content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Orders::default()),
        Err(error) => Err(ConfigError::file("cannot read", path, &error)),
    }
}

/// Reads what people write: an array of nodes.
///
/// # Errors
/// A file that cannot be read, or is none.
pub fn load_nodes(path: &Path) -> Result<Vec<GroupMember>, ConfigError> {
    std::fs::read(path)
        .map_err(|error| ConfigError::file("cannot read", path, &error))
        .and_then(|content| parse(path, &content))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, ConfigError> {
    serde_json::from_slice(content)
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })
}

/// Writes the file.
///
/// # Errors
/// The system's.
pub fn store(path: &Path, orders: &Orders) -> Result<(), ConfigError> {
    serde_json::to_vec_pretty(orders)
        .map_err(io::Error::from)
        .and_then(|content| atomic_file::write(path, &content))
        .map_err(|error| ConfigError::file("cannot write", path, &error))
}

/// A monitor assigns from now on.
///
/// # Errors
/// The system's.
pub fn remove(path: &Path) -> Result<(), ConfigError> {
    atomic_file::remove(path).map_err(|error| ConfigError::file("cannot remove", path, &error))
}

#[cfg(test)]
mod tests {
    use pgaf_core::GroupId;

    use super::*;

    fn nodes() -> Vec<GroupMember> {
        let json = r#"[
            {"node_id":1,"node_name":"a","node_host":"h1","node_port":5432,"node_lsn":"0/1","node_is_primary":true},
            {"node_id":2,"node_name":"b","node_host":"h2","node_port":5433,"node_lsn":"0/1","node_is_primary":false}
        ]"#;
        serde_json::from_str(json).expect("as people write it")
    }

    #[test]
    fn orders_become_assignments() {
        let mut state = KeeperState::registered(NodeId(2), GroupId(0));
        let orders = |goal| Orders { goal, nodes: nodes() };
        assert_eq!(orders(None).assignment(&state, "db"), None);
        let standby = orders(Some(ReplicationState::Secondary)).assignment(&state, "db").expect("new");
        assert_eq!(standby.upstream.as_ref().map(|peer| peer.port), Some(5432));
        assert_eq!((standby.epoch, standby.peers.len()), (Epoch(1), 1));
        state.assignment = Some(standby);
        assert_eq!(orders(None).assignment(&state, "db"), None, "nothing new");
        assert_eq!(Orders::default().assignment(&state, "db"), None, "no orders");
        let primary = orders(Some(ReplicationState::Primary)).assignment(&state, "db").expect("new");
        assert_eq!(primary.upstream, None);
        assert_eq!(primary.commit_rule, CommitRule { standbys: vec![NodeId(1)], acks: 1 });
        state.assignment = Some(primary);
        let alone = Orders { goal: Some(ReplicationState::WaitPrimary), nodes: Vec::new() };
        let alone = alone.assignment(&state, "db").expect("new");
        assert_eq!((alone.peers.len(), alone.commit_rule.is_synchronous()), (1, false));
    }

    #[test]
    fn orders_read_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pg_autoctl.orders");
        assert_eq!(load(&path).expect("none"), Orders::default());
        let orders = Orders { goal: Some(ReplicationState::CatchingUp), nodes: nodes() };
        store(&path, &orders).expect("stored");
        assert_eq!(load(&path).expect("loaded"), orders);
        std::fs::write(&path, "{").expect("written");
        assert!(load(&path).is_err());
        remove(&path).expect("removed");
        assert!(load_nodes(&path).is_err());
    }
}
