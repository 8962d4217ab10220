//! Who plays which part in a round.

use anyhow::{Context, Result};

use super::schedule::Place;
use crate::harness::{Cluster, Host};

/// The names of the data nodes: the primary of the moment the round began, then its standbys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cast(Vec<String>);

impl Cast {
    /// As the monitor sees it now.
    pub(super) fn of(cluster: &Cluster) -> Result<Self> {
        let primary = cluster.primary()?;
        let others = cluster.nodes.iter().map(|host| host.name.clone()).filter(|name| *name != primary);
        Ok(Self(std::iter::once(primary.clone()).chain(others).collect()))
    }

    /// The name of the host.
    pub(super) fn name(&self, place: Place) -> &str {
        match place {
            Place::Monitor => "monitor",
            Place::Node(index) => self.0.get(index).map_or("nobody", String::as_str),
        }
    }

    pub(super) fn host<'a>(&self, cluster: &'a Cluster, place: Place) -> Result<&'a Host> {
        match place {
            Place::Monitor => Ok(&cluster.monitor),
            Place::Node(_) => cluster.host(self.name(place)),
        }
    }

    pub(super) fn host_mut<'a>(&self, cluster: &'a mut Cluster, place: Place) -> Result<&'a mut Host> {
        match place {
            Place::Monitor => Ok(&mut cluster.monitor),
            Place::Node(_) => cluster.host_mut(self.name(place)),
        }
    }

    /// The node's id at the monitor.
    pub(super) fn id(&self, cluster: &Cluster, place: Place) -> Result<i64> {
        let name = self.name(place);
        let rows = cluster.rows()?;
        let row = rows.iter().find(|row| row.name == name);
        Ok(row.with_context(|| format!("the monitor knows no {name}"))?.id)
    }
}
