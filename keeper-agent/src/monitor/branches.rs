//! What the monitor knows of a group beyond the states of its nodes: what it waits for, what nodes are busy with, and the
//! branches of its log.

use pgaf_core::{GroupId, Lineage, Lsn, NodeId, Timeline, TimelineHistory};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::connection::{MonitorConnection, column, parsed};
use super::error::MonitorError;

/// Remarks on the nodes and groups of a formation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// What nodes are busy with, or wait for: id, name, text.
    pub progress: Vec<(NodeId, String, String)>,
    /// What groups without a primary wait for.
    pub waits_for: Vec<String>,
    /// What persons have arranged.
    pub arranged: Vec<String>,
}

/// A timeline of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTimeline {
    /// Its number; two of the same number that began at different places are two branches.
    pub timeline: Timeline,
    /// The timeline that it left; absent for the first.
    pub parent: Option<Timeline>,
    /// Where it left it.
    pub fork: Lsn,
    /// A person has said that its branch is wrong.
    pub is_rejected: bool,
    /// When a node first told of it, as the monitor prints it.
    pub first_seen: String,
    /// The same in JSON.
    pub first_seen_json: String,
    /// Which node did.
    pub first_node: Option<NodeId>,
    /// The nodes that are on it.
    pub nodes: Vec<NodeId>,
}

/// Where on which branch a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBranch {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// It is told to accept writes.
    pub is_writer: bool,
    /// The timeline it reported.
    pub timeline: Timeline,
    /// The position it reported.
    pub lsn: Lsn,
    /// The history of that timeline; absent until it has told it.
    pub history: Option<TimelineHistory>,
}

impl NodeBranch {
    /// How its log relates to that of another node; `None` when a history is not known.
    pub fn lineage(&self, of: &Self) -> Option<Lineage> {
        let known = |branch: &Self| branch.history.clone().filter(|it| it.timeline == branch.timeline);
        Some(known(of)?.lineage_of_log(&known(self)?, self.lsn))
    }
}

impl MonitorConnection {
    /// What a group without a primary waits for; `None` when it waits for nothing.
    ///
    /// # Errors
    /// As for any call.
    pub async fn waits_for(&self, formation: &str, group: GroupId) -> Result<Option<String>, MonitorError> {
        self.query_value(
            "what the group waits for",
            "SELECT pgautofailover.waits_for($1::text, $2::integer)",
            &[&formation, &group.0],
        )
        .await
    }

    /// Remarks on a formation, or on one of its groups.
    ///
    /// # Errors
    /// As for any call.
    pub async fn remarks(&self, formation: &str, group: Option<GroupId>) -> Result<Remarks, MonitorError> {
        const WHAT: &str = "what nodes are busy with";
        let (group_id, group) = (group, group.map(|group| group.0));
        let progress = "SELECT nodeid, nodename, reportdetail ->> 'progress' AS progress \
             FROM pgautofailover.node WHERE formationid = $1::text AND ($2::integer IS NULL OR groupid = $2) \
             AND reportdetail ->> 'progress' IS NOT NULL ORDER BY groupid, nodeid";
        let waits_for = "SELECT waits_for FROM (SELECT groupid, pgautofailover.waits_for($1::text, groupid) \
             FROM pgautofailover.node WHERE formationid = $1 AND ($2::integer IS NULL OR groupid = $2) \
             GROUP BY groupid) AS groups(groupid, waits_for) WHERE waits_for IS NOT NULL ORDER BY groupid";
        let progress = self.query(WHAT, progress, &[&formation, &group]).await?;
        let waits_for = self.query(WHAT, waits_for, &[&formation, &group]).await?;
        let busy = |row: &Row| -> Result<_, MonitorError> {
            Ok((NodeId(column(row, "nodeid")?), column(row, "nodename")?, column(row, "progress")?))
        };
        Ok(Remarks {
            progress: progress.iter().map(busy).collect::<Result<_, _>>()?,
            arranged: self.arrangements(formation, group_id).await?,
            waits_for: waits_for.iter().map(|row| column(row, "waits_for")).collect::<Result<_, _>>()?,
        })
    }

    /// The timelines of a group, by number and beginning.
    ///
    /// # Errors
    /// As for any call.
    pub async fn timelines(
        &self,
        formation: &str,
        group: GroupId,
    ) -> Result<Vec<KnownTimeline>, MonitorError> {
        let rows = self
            .query(
                "the timelines",
                "SELECT timeline, parent_timeline, fork_lsn::text, is_rejected, first_seen::text, \
                 to_jsonb(first_seen) #>> '{}' AS first_seen_json, first_node_id, node_ids \
                 FROM pgautofailover.timelines($1::text, $2::integer)",
                &[&formation, &group.0],
            )
            .await?;
        rows.iter().map(read_timeline).collect()
    }

    /// The nodes of a group, each with its branch, by id.
    ///
    /// # Errors
    /// As for any call.
    pub async fn branches(&self, formation: &str, group: GroupId) -> Result<Vec<NodeBranch>, MonitorError> {
        let rows = self
            .query(
                "the branches",
                "SELECT nodeid, nodename, pgautofailover.is_writer(goalstate) AS is_writer, reportedtli, \
                 reportedlsn::text, reportedhistory FROM pgautofailover.node \
                 WHERE formationid = $1::text AND groupid = $2::integer ORDER BY nodeid",
                &[&formation, &group.0],
            )
            .await?;
        rows.iter().map(read_branch).collect()
    }

    /// Says that the branch with this timeline is the right one; false when nothing had to change.
    ///
    /// # Errors
    /// The monitor's, when no node is on it.
    pub async fn accept_timeline(
        &self,
        formation: &str,
        group: GroupId,
        timeline: Timeline,
    ) -> Result<bool, MonitorError> {
        let timeline = i32::try_from(timeline.0)
            .map_err(|_| MonitorError::Protocol("a timeline beyond 2^31".to_owned()))?;
        self.query_value(
            "accepting the timeline",
            "SELECT pgautofailover.accept_timeline($1::text, $2::integer, $3::integer)",
            &[&formation, &group.0, &timeline],
        )
        .await
    }
}

fn timeline_of(number: i32) -> Timeline {
    Timeline(number.unsigned_abs())
}

fn read_timeline(row: &Row) -> Result<KnownTimeline, MonitorError> {
    let nodes: Vec<i64> = column(row, "node_ids")?;
    Ok(KnownTimeline {
        timeline: timeline_of(column(row, "timeline")?),
        parent: column::<Option<i32>>(row, "parent_timeline")?.map(timeline_of),
        fork: parsed(row, "fork_lsn")?,
        is_rejected: column(row, "is_rejected")?,
        first_seen: column(row, "first_seen")?,
        first_seen_json: column(row, "first_seen_json")?,
        first_node: column::<Option<i64>>(row, "first_node_id")?.map(NodeId),
        nodes: nodes.into_iter().map(NodeId).collect(),
    })
}

fn read_branch(row: &Row) -> Result<NodeBranch, MonitorError> {
    let history: Option<Json<TimelineHistory>> = column(row, "reportedhistory")?;
    let timeline = timeline_of(column(row, "reportedtli")?);
    let first = (timeline == Timeline::FIRST).then(TimelineHistory::first);
    Ok(NodeBranch {
        node: NodeId(column(row, "nodeid")?),
        name: column(row, "nodename")?,
        is_writer: column(row, "is_writer")?,
        timeline,
        lsn: parsed(row, "reportedlsn")?,
        history: history.map(|Json(history)| history).or(first),
    })
}
