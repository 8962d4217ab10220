//! What the monitor says of the cluster, and waiting for it to say something.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::cluster::Cluster;
use super::sql::Sql;
use super::wait::wait_for;

/// How long a connection of the test's own may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// What the monitor says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) goal: String,
    pub(crate) reported: String,
    pub(crate) health: i32,
    /// It has reported lately, and since the monitor was started.
    pub(crate) is_fresh: bool,
    pub(crate) timeline: u32,
    pub(crate) group: i32,
    /// The Citus cluster it belongs to; `default` for all that may be promoted.
    pub(crate) citus_cluster: String,
}

impl NodeRow {
    /// What the monitor says of its nodes, by id.
    pub(crate) fn all(monitor: &Sql) -> Result<Vec<Self>> {
        let sql = "select nodeid, nodename, goalstate, reportedstate, health, reportedtli, \
                   now() - reporttime < interval '2500 ms' \
                   and (reporttime > pg_postmaster_start_time() or now() < pg_postmaster_start_time()), \
                   groupid, nodecluster from pgautofailover.node order by nodeid";
        monitor.rows(sql)?.into_iter().map(node_row).collect()
    }

    /// The state, when goal and report agree on it and the report is no old one.
    pub(crate) fn settled(&self) -> Option<&str> {
        (self.goal == self.reported && self.is_fresh).then_some(self.goal.as_str())
    }

    /// It serves writes, as the monitor sees it.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.settled(), Some("primary" | "wait_primary" | "single"))
    }
}

impl Cluster {
    /// Runs SQL on the monitor as its people and keepers do: over the network, as `autoctl_node`.
    pub(crate) fn on_monitor<T>(&self, ask: impl FnOnce(&Sql) -> Result<T>) -> Result<T> {
        let mut watch = self.watch.borrow_mut();
        let sql = match watch.take() {
            Some(open) => open,
            None => Sql::open(&self.monitor_target(), CONNECT_DEADLINE)?,
        };
        let answer = ask(&sql)?;
        // Kept only after an answer: a connection that failed once is not used again.
        *watch = Some(sql);
        Ok(answer)
    }

    /// Closes the test's own connection to the monitor.
    pub(crate) fn forget_watch(&self) {
        self.watch.take();
    }

    /// What the monitor says of its nodes, by id.
    pub(crate) fn rows(&self) -> Result<Vec<NodeRow>> {
        self.on_monitor(NodeRow::all)
    }

    /// Waits until goal and report of these nodes are these states.
    pub(crate) fn wait_states(&self, states: &[(&str, &str)], within: Duration) -> Result<()> {
        wait_for(&format!("{states:?}"), within, || {
            let rows = self.rows()?;
            let is_there = |(name, state): &(&str, &str)| {
                rows.iter().any(|row| row.name == *name && row.settled() == Some(state))
            };
            if states.iter().all(is_there) {
                return Ok(Some(()));
            }
            bail!("{}", describe(&rows))
        })
    }

    /// Waits until the monitor has given a node one of these goals, without waiting for its answer.
    pub(crate) fn wait_goal(&self, name: &str, goals: &[&str], within: Duration) -> Result<()> {
        wait_for(&format!("{name} to be told one of {goals:?}"), within, || {
            let rows = self.rows()?;
            let is_told = rows.iter().any(|row| row.name == name && goals.contains(&row.goal.as_str()));
            Ok(is_told.then_some(()))
        })
    }

    /// Waits until in every group one node is primary and all the others are secondary.
    pub(crate) fn wait_whole(&self, within: Duration) -> Result<()> {
        wait_for("one primary, all others secondary", within, || self.check_whole().map(Some))
    }

    /// Waits until every standby has said that it is close to its primary. A report may be a second old, and each copy of
    /// the data that has ended since has begun another segment of the log.
    pub(crate) fn wait_close(&self, within: Duration) -> Result<()> {
        let sql = "select count(*)::text from pgautofailover.node p join pgautofailover.node s using (formationid, groupid) \
                   where p.reportedstate in ('primary', 'wait_primary') and s.reportedstate = 'secondary' \
                   and pg_wal_lsn_diff(p.reportedlsn, s.reportedlsn) > 1048576";
        wait_for("every standby to say that it is close", within, || {
            let rows = self.on_monitor(|monitor| monitor.rows(sql))?;
            let count = rows.into_iter().flatten().flatten().next();
            Ok((count.as_deref() == Some("0")).then_some(()))
        })
    }

    /// In every group one node is primary and all the others are secondary.
    pub(super) fn check_whole(&self) -> Result<()> {
        let rows = self.rows()?;
        let is_whole = |group: &i32| {
            let of_group = || rows.iter().filter(|row| row.group == *group);
            let count = |state: &str| of_group().filter(|row| row.settled() == Some(state)).count();
            count("primary") == 1 && count("secondary") == of_group().count() - 1
        };
        let groups: BTreeSet<i32> = rows.iter().map(|row| row.group).collect();
        ensure!(rows.len() == self.nodes.len() && groups.iter().all(is_whole), "{}", describe(&rows));
        Ok(())
    }

    /// Waits until that node serves writes, as the monitor sees it.
    pub(crate) fn wait_primary_is(&self, name: &str, within: Duration) -> Result<()> {
        wait_for(&format!("{name} to be primary"), within, || {
            let rows = self.rows()?;
            if primary_of(&rows, group_of(&rows, name)?)? == name {
                return Ok(Some(()));
            }
            bail!("{}", describe(&rows))
        })
    }

    /// Waits until a node other than that one serves writes, as the monitor sees it; returns its name.
    pub(crate) fn wait_another_primary(&self, than: &str, within: Duration) -> Result<String> {
        wait_for(&format!("another primary than {than}"), within, || {
            let rows = self.rows()?;
            // One that has left already was of the first group: the others keep theirs in these tests.
            let group = rows.iter().find(|row| row.name == than).map_or(0, |row| row.group);
            let primary = primary_of(&rows, group)?;
            Ok((primary != than).then(|| primary.to_owned()))
        })
    }

    /// The names of the nodes that are secondary, by id.
    pub(crate) fn secondaries(&self) -> Result<Vec<String>> {
        let rows = self.rows()?.into_iter();
        Ok(rows.filter(|row| row.settled() == Some("secondary")).map(|row| row.name).collect())
    }

    /// The name of the node that serves writes, as the monitor sees it; in a Citus formation that of the coordinator.
    pub(crate) fn primary(&self) -> Result<String> {
        self.primary_of(0)
    }

    /// The same of any group.
    pub(crate) fn primary_of(&self, group: i32) -> Result<String> {
        primary_of(&self.rows()?, group).map(str::to_owned)
    }

    /// The number of the group that the node is in.
    pub(crate) fn group_of(&self, name: &str) -> Result<i32> {
        group_of(&self.rows()?, name)
    }
}

fn primary_of(rows: &[NodeRow], group: i32) -> Result<&str> {
    let mut primaries = rows.iter().filter(|row| row.group == group && row.writes());
    match (primaries.next(), primaries.next()) {
        (Some(row), None) => Ok(&row.name),
        _ => bail!("no single primary of group {group}: {}", describe(rows)),
    }
}

fn group_of(rows: &[NodeRow], name: &str) -> Result<i32> {
    let row = rows.iter().find(|row| row.name == name);
    row.map(|row| row.group).with_context(|| format!("the monitor knows no {name}: {}", describe(rows)))
}

fn node_row(row: Vec<Option<String>>) -> Result<NodeRow> {
    let values: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    let [id, name, goal, reported, health, timeline, is_fresh, group, citus_cluster] = values.as_slice()
    else {
        bail!("a node's row has {} columns", values.len());
    };
    Ok(NodeRow {
        id: id.parse()?,
        name: name.clone(),
        goal: goal.clone(),
        reported: reported.clone(),
        health: health.parse()?,
        timeline: timeline.parse()?,
        is_fresh: is_fresh == "t",
        group: group.parse()?,
        citus_cluster: citus_cluster.clone(),
    })
}

/// The states of all nodes in one line.
pub(crate) fn describe(rows: &[NodeRow]) -> String {
    let one =
        |row: &NodeRow| format!("{} {} -> {} (health {})", row.name, row.reported, row.goal, row.health);
    rows.iter().map(one).collect::<Vec<_>>().join(", ")
}
