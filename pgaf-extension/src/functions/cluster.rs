//! Citus clusters inside a formation: "default" takes part in failover, the nodes of the others are only read from.

use pgaf_core::{DEFAULT_CLUSTER, MAX_NAME_BYTES, ReplicationState};

use crate::error::Error;

pub(super) fn is_default(cluster: &str) -> bool {
    cluster == DEFAULT_CLUSTER
}

/// What Citus can have as a name.
pub(super) fn check_name(cluster: &str) -> Result<(), Error> {
    let is_name = !cluster.trim().is_empty()
        && cluster.len() <= MAX_NAME_BYTES
        && !cluster.chars().any(char::is_control);
    if is_name {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("{cluster:?} cannot be the name of a Citus cluster"),
        hint: "A name has 1 to 63 bytes and no control characters.",
    })
}

/// Clients find a node of another cluster by that it only reads: it is never promoted.
pub(super) fn check_priority(cluster: &str, candidate_priority: i32) -> Result<(), Error> {
    if is_default(cluster) || candidate_priority == 0 {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("a node of cluster \"{cluster}\" cannot have candidate priority {candidate_priority}"),
        hint: "Nodes of clusters other than \"default\" are never promoted: their candidate priority is 0.",
    })
}

/// Nor does it come as a primary.
pub(super) fn check_role(cluster: &str, initial: ReplicationState) -> Result<(), Error> {
    if is_default(cluster) || !initial.is_writer() {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("a node of cluster \"{cluster}\" cannot register as {initial}"),
        hint: "Nodes of clusters other than \"default\" are never the primary: register it in cluster \"default\".",
    })
}
