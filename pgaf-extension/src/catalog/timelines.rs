//! The timelines of a group: every branch of the log that a node has told of.

use pgaf_core::{Group, Lsn, NodeId, Timeline, TimelineHistory};
use pgrx::spi::SpiClient;

use crate::error::Error;
use crate::statement::statements;

statements! {
    PUBLISH(TEXTOID, INT4OID, INT8OID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID) = "
        INSERT INTO pgautofailover.timeline
                    (formationid, groupid, nodeid, timeline, forklsn, parenttimeline, seentime)
             SELECT $1, $2, $3, b.timeline, b.forklsn::pg_catalog.pg_lsn, b.parent, pg_catalog.clock_timestamp()
               FROM unnest($4, $5, $6) AS b (timeline, forklsn, parent)
        ON CONFLICT DO NOTHING";
    FORGET(TEXTOID, INT4OID) = "
        DELETE FROM pgautofailover.timeline WHERE formationid = $1 AND groupid = $2";
}

/// A timeline and its ancestors are known from now on, whatever becomes of the node that told of them.
pub(crate) fn publish(
    client: &mut SpiClient<'_>,
    group: &Group,
    node: NodeId,
    history: &TimelineHistory,
) -> Result<(), Error> {
    let children = history.ancestors.iter().skip(1).map(|(child, _)| *child).chain([history.timeline]);
    let first = history.ancestors.first().map_or(history.timeline, |(first, _)| *first);
    let forks = history.ancestors.iter().zip(children).map(|((parent, left_at), child)| Branch {
        timeline: child,
        begins: *left_at,
        parent: Some(*parent),
    });
    let branches: Vec<Branch> =
        [Branch { timeline: first, begins: Lsn::ZERO, parent: None }].into_iter().chain(forks).collect();
    let timelines: Vec<i32> = branches.iter().map(|branch| as_i32(branch.timeline)).collect();
    let begin: Vec<String> = branches.iter().map(|branch| branch.begins.to_string()).collect();
    let parents: Vec<Option<i32>> = branches.iter().map(|branch| branch.parent.map(as_i32)).collect();
    let rows = [
        group.formation.as_str().into(),
        group.id.0.into(),
        node.0.into(),
        timelines.into(),
        begin.into(),
        parents.into(),
    ];
    PUBLISH.with(|statement| statement.run(client, &rows))?;
    Ok(())
}

/// Nothing is known of a group that has no nodes.
pub(super) fn forget(client: &mut SpiClient<'_>, group: &Group) -> Result<(), Error> {
    FORGET.with(|statement| statement.run(client, &[group.formation.as_str().into(), group.id.0.into()]))?;
    Ok(())
}

/// Where a timeline leaves its parent.
struct Branch {
    timeline: Timeline,
    begins: Lsn,
    parent: Option<Timeline>,
}

fn as_i32(timeline: Timeline) -> i32 {
    i32::try_from(timeline.0).unwrap_or(i32::MAX)
}
