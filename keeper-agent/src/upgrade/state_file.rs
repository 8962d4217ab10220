//! The state file of 2.x: a C struct of numbers in the order of the machine, padded to 1024 bytes. It is the same in 2.0,
//! 2.1 and 2.2.

use pgaf_core::{GroupId, NodeId, ReplicationState};

use crate::config::state::KeeperState;

const FILE_BYTES: usize = 1024;
/// The layout that 2.x writes.
const LAYOUT: i32 = 1;

/// Where the numbers are.
const LAYOUT_AT: usize = 0;
const NODE_AT: usize = 24;
const GROUP_AT: usize = 28;
const ROLE_AT: usize = 56;

/// A state is the place of its name in this list.
const STATES: [ReplicationState; 22] = [
    ReplicationState::Unknown,
    ReplicationState::Init,
    ReplicationState::Single,
    ReplicationState::Primary,
    ReplicationState::WaitPrimary,
    ReplicationState::WaitStandby,
    ReplicationState::Demoted,
    ReplicationState::DemoteTimeout,
    ReplicationState::Draining,
    ReplicationState::Secondary,
    ReplicationState::CatchingUp,
    ReplicationState::PreparePromotion,
    ReplicationState::StopReplication,
    ReplicationState::Maintenance,
    ReplicationState::JoinPrimary,
    ReplicationState::ApplySettings,
    ReplicationState::PrepareMaintenance,
    ReplicationState::WaitMaintenance,
    ReplicationState::ReportLsn,
    ReplicationState::FastForward,
    ReplicationState::JoinSecondary,
    ReplicationState::Dropped,
];

/// It has the size and the first number of a file of 2.x; ours is text.
pub fn is_of_2x(content: &[u8]) -> bool {
    content.len() == FILE_BYTES && number(content, LAYOUT_AT) == Some(LAYOUT)
}

/// What 2.x knew: which node this is, and what it was. The monitor says anew what it should be.
///
/// # Errors
/// A number that makes no sense.
pub fn read(content: &[u8]) -> Result<KeeperState, String> {
    let at = |place| number(content, place).ok_or_else(|| "it is too short".to_owned());
    let node = at(NODE_AT)?;
    let group = at(GROUP_AT)?;
    let role = at(ROLE_AT)?;
    let state = usize::try_from(role).ok().and_then(|role| STATES.get(role));
    match state {
        Some(state) if node > 0 && group >= 0 => {
            let registered = KeeperState::registered(NodeId(node.into()), GroupId(group));
            Ok(KeeperState { reported: *state, ..registered })
        }
        Some(_) => Err(format!("node {node} in group {group} cannot be")),
        None => Err(format!("there is no state {role}")),
    }
}

fn number(content: &[u8], place: usize) -> Option<i32> {
    content.get(place..place + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(node: i32, group: i32, role: i32) -> Vec<u8> {
        let mut content = vec![0; FILE_BYTES];
        for (place, value) in [(LAYOUT_AT, LAYOUT), (NODE_AT, node), (GROUP_AT, group), (ROLE_AT, role)] {
            content[place..place + 4].copy_from_slice(&value.to_ne_bytes());
        }
        content
    }

    #[test]
    fn a_state_of_2x_is_taken_over() {
        let content = file(7, 2, 9);
        assert!(is_of_2x(&content));
        let state = read(&content).expect("a state");
        assert_eq!(
            (state.node, state.group, state.reported),
            (NodeId(7), GroupId(2), ReplicationState::Secondary)
        );
        assert_eq!(state.assignment, None);
    }

    #[test]
    fn what_is_no_state_of_2x_is_refused() {
        assert!(!is_of_2x(b"{\"version\": 1}"));
        assert!(!is_of_2x(&vec![0; FILE_BYTES]));
        for (node, group, role) in [(0, 0, 3), (1, -1, 3), (1, 0, 22), (1, 0, -1), (1, 0, 128)] {
            assert!(read(&file(node, group, role)).is_err(), "{node} {group} {role}");
        }
    }
}
