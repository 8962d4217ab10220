//! The arguments of `register_node`.

use pgaf_core::ReplicationState;

/// What a node asks for.
pub(super) struct Request<'a> {
    pub(super) formation: &'a str,
    pub(super) host: &'a str,
    pub(super) port: i32,
    pub(super) dbname: &'a str,
    pub(super) name: &'a str,
    pub(super) system_identifier: i64,
    pub(super) desired_id: i64,
    pub(super) desired_group: i32,
    pub(super) initial: ReplicationState,
    pub(super) kind: &'a str,
    pub(super) candidate_priority: i32,
    pub(super) replication_quorum: bool,
    pub(super) cluster: &'a str,
}
