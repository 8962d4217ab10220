//! `create coordinator`, `create worker`

use pgaf_core::{DEFAULT_CLUSTER, NodeKind};

use super::super::commands::{NewCitusNode, NewNode};
use super::super::error::{CliError, CliResult};
use super::node;
use crate::citus::EXTENSION;
use crate::config::{CitusConfig, CitusRole};
use crate::exit::Exit;

/// Which database a formation serves when nobody says so: every node needs the same.
const DEFAULT_DATABASE: &str = EXTENSION;
/// What `--candidate-priority` is when it is not given.
const DEFAULT_PRIORITY: i32 = 50;

/// Runs one of them.
pub(super) async fn run(options: &NewCitusNode, kind: NodeKind) -> CliResult<Exit> {
    node::run(&as_node(options, kind)?).await
}

fn as_node(options: &NewCitusNode, kind: NodeKind) -> CliResult<NewNode> {
    let mut node = options.node.clone();
    if node.dbname.as_ref().is_none_or(String::is_empty) {
        node.dbname = Some(DEFAULT_DATABASE.to_owned());
    }
    check_group(&node, kind)?;
    node.part.kind = kind;
    node.part.proxy_port = options.proxyport.unwrap_or(0);
    if let Some(cluster) = options.citus_cluster.clone().filter(|_| options.citus_secondary) {
        if cluster.is_empty() || cluster == DEFAULT_CLUSTER {
            return Err(CliError::bad_arguments(
                "a read-only cluster needs a name of its own: give another --citus-cluster",
            ));
        }
        if !matches!(node.candidate_priority, 0 | DEFAULT_PRIORITY) {
            return Err(CliError::bad_arguments(format!(
                "a node of a read-only cluster is never promoted: leave out --candidate-priority {}, or give 0",
                node.candidate_priority
            )));
        }
        node.candidate_priority = 0;
        node.part.citus = CitusConfig { role: CitusRole::Secondary, cluster_name: cluster };
    }
    Ok(node)
}

fn check_group(node: &NewNode, kind: NodeKind) -> CliResult {
    match (kind, node.group) {
        (NodeKind::Coordinator, Some(group)) if group != 0 => Err(CliError::bad_arguments(format!(
            "the coordinator of a formation is in group 0, not {group}: leave out --group"
        ))),
        (NodeKind::Worker, Some(0)) => Err(CliError::bad_arguments(
            "group 0 is that of the coordinator: give a worker a --group of 1 or higher, or none",
        )),
        _ => Ok(()),
    }
}
