//! Monitors that come and go while the others go on: whoever leads takes them in and lets them go, one step a call.
//!
//! A new monitor gets a number that nobody has had, follows the log without a vote until it has it, and votes then. One that
//! goes leaves the group first, when it has a server and answers: it agrees, and its Postgres has stopped. Then it loses its
//! vote. There are never more than three, since that is what commits wait for: one of two.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use pgaf_core::NodeId;
use pgaf_core::monitors::{Reply, What};
use tokio::time::timeout;
use tracing::info;

use super::super::majority::MAJORITY_LOST_AFTER;
use super::super::wire::{Admission, Progress};
use super::Part;
use crate::config::Member;

/// So many monitors there are at most, and at least two of them remain.
const MOST: usize = 3;
const LEAST: usize = 2;
/// A monitor that lacks no more entries than this may vote.
const NEAR_ENTRIES: u64 = 100;
/// A change of the members may take so long.
const CHANGE_DEADLINE: Duration = Duration::from_secs(3);

impl Part {
    /// The term in which it leads.
    fn leads(&self) -> Result<u64, String> {
        self.term_it_leads().ok_or_else(|| "this monitor does not lead".to_owned())
    }

    fn members(&self) -> Vec<(u64, Member)> {
        self.applied.borrow().members()
    }

    fn voters(&self) -> Vec<u64> {
        self.members()
            .into_iter()
            .map(|(id, _)| id)
            .filter(|id| self.applied.borrow().is_voter(*id))
            .collect()
    }

    /// Gives a new monitor a number. Nothing is changed for the others.
    pub(super) async fn admit(&self, name: &str, address: &str) -> Result<Admission, String> {
        self.leads()?;
        let members = self.members();
        if let Some((_, member)) =
            members.iter().find(|(_, member)| member.name == name || member.address() == address)
        {
            return Err(format!(
                "there is a monitor \"{}\" at {} already: drop it first, with \"pg_autoctl drop monitor --name {}\"",
                member.name,
                member.address(),
                member.name
            ));
        }
        self.has_room()?;
        let highest = members.iter().map(|(id, _)| *id).max().unwrap_or_default();
        match self.propose(What::Admit { highest }).await? {
            Reply::Number(id) => Ok(Admission { id, members }),
            other => Err(format!("no number was given: {other:?}")),
        }
    }

    fn has_room(&self) -> Result<(), String> {
        let voters = self.voters().len();
        if voters < MOST {
            return Ok(());
        }
        Err(format!(
            "there are {voters} monitors already: drop the one that is lost first, with \"pg_autoctl drop monitor --name\""
        ))
    }

    /// Goes on with taking in a monitor.
    pub(super) async fn take_in(&self, id: u64, member: Member) -> Result<Progress, String> {
        self.leads()?;
        if self.applied.borrow().monitors.has_gone(NodeId(id.cast_signed())) {
            return Err(format!("monitor \"{}\" was dropped: create it again", member.name));
        }
        let members = self.members();
        let is_known = members.iter().any(|(known, _)| *known == id);
        if is_known && self.applied.borrow().is_voter(id) {
            return Ok(Progress::Done);
        }
        self.has_room()?;
        if !is_known {
            if members.iter().any(|(_, other)| other.name == member.name) {
                return Err(format!("there is another monitor \"{}\" already", member.name));
            }
            info!("monitor \"{}\" at {} joins", member.name, member.address());
            self.change(ChangeMembers::AddNodes(BTreeMap::from([(id, member)]))).await?;
        } else if self.is_near(id) {
            self.change(ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await?;
            info!("monitor \"{}\" has a vote now", member.name);
        }
        Ok(Progress::UnderWay)
    }

    /// It has almost all of the log.
    fn is_near(&self, id: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let matched = metrics.replication.as_ref().and_then(|replication| *replication.get(&id)?);
        matched.is_some_and(|matched| {
            matched.index.saturating_add(NEAR_ENTRIES) >= metrics.last_log_index.unwrap_or_default()
        })
    }

    /// Goes on with letting a monitor go.
    pub(super) async fn let_go(&self, name: &str) -> Result<Progress, String> {
        self.leads()?;
        let Some((id, _)) = self.members().into_iter().find(|(_, member)| member.name == name) else {
            return Ok(Progress::Done);
        };
        let node = NodeId(id.cast_signed());
        let voters = self.voters();
        let is_voter = voters.contains(&id);
        if is_voter && voters.len() <= LEAST {
            return Err(format!(
                "there are {} monitors, and one of them can be lost only when there are more: create another one first",
                voters.len()
            ));
        }
        let is_silent = self.is_silent(node)?;
        match self.propose(What::Remove { node, force: is_silent }).await? {
            Reply::Done | Reply::Unknown => {}
            Reply::Refused(reason) => return Err(reason),
            other => return Err(format!("it was not removed: {other:?}")),
        }
        let is_in_group = self.group().is_some_and(|group| group.node(node).is_some());
        if is_in_group {
            return Ok(Progress::UnderWay);
        }
        let ids = BTreeSet::from([id]);
        self.change(if is_voter {
            ChangeMembers::RemoveVoters(ids)
        } else {
            ChangeMembers::RemoveNodes(ids)
        })
        .await?;
        info!("monitor \"{name}\" is dropped");
        Ok(Progress::Done)
    }

    /// It has not reported to this monitor for so long that it will not, as far as can be known.
    fn is_silent(&self, node: NodeId) -> Result<bool, String> {
        let term = self.leads()?;
        let ages = {
            let mut leadership = self.leadership();
            leadership.lead(term, self.group().as_ref());
            leadership.ages()
        };
        let known = ages.nodes.iter().find(|known| known.node == node);
        let silent_for = known.and_then(|known| known.silent_for).unwrap_or(ages.leads_for);
        Ok(silent_for >= MAJORITY_LOST_AFTER)
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), String> {
        let changed = timeout(CHANGE_DEADLINE, self.raft.change_membership(change, false)).await;
        let changed = changed.map_err(|_| {
            format!("the other monitors have not agreed within {} s", CHANGE_DEADLINE.as_secs())
        })?;
        changed.map(drop).map_err(|error| error.to_string())
    }
}
