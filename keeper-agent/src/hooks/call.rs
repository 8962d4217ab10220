//! What a hook is told.

use pgaf_core::keeper::{HookCall, HookKind};
use serde_json::{Map, Value, json};

use crate::config::NodeConfig;

/// One call: the same facts as variables and as JSON.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which hook.
    pub kind: HookKind,
    facts: Vec<(&'static str, Value)>,
}

/// What of a node's configuration a hook is told.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    name: String,
    host: String,
    port: u16,
    formation: String,
    dbname: String,
    pgdata: String,
}

impl NodeFacts {
    /// Of this node.
    pub fn of(config: &NodeConfig) -> Self {
        Self {
            name: config.name.clone(),
            host: config.hostname.clone(),
            port: config.postgres.port,
            formation: config.formation.clone(),
            dbname: config.postgres.dbname.clone(),
            pgdata: config.postgres.pgdata.display().to_string(),
        }
    }
}

impl Call {
    /// A call of a node's hook.
    pub fn of_node(call: &HookCall, node: &NodeFacts) -> Self {
        let facts = vec![
            ("old_role", json!(call.old_role.as_str())),
            ("new_role", json!(call.new_role.as_str())),
            ("node_id", json!(call.node.0)),
            ("node_name", json!(node.name)),
            ("node_host", json!(node.host)),
            ("node_port", json!(node.port)),
            ("formation", json!(node.formation)),
            ("group", json!(call.group.0)),
            ("timeline", json!(call.timeline.map(|timeline| timeline.0))),
            ("dbname", json!(node.dbname)),
            ("pgdata", json!(node.pgdata)),
        ];
        Self { kind: call.kind, facts }
    }

    /// A call with these facts.
    pub const fn new(kind: HookKind, facts: Vec<(&'static str, Value)>) -> Self {
        Self { kind, facts }
    }

    /// The environment: `PGAF_` and the name of each fact in capitals. What is not known is empty.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            // A value of the environment ends with a zero byte.
            Value::String(text) => text.replace('\0', ""),
            other => other.to_string(),
        };
        let facts = self.facts.iter().map(|(name, value)| (variable(name), text(value)));
        std::iter::once((variable("hook"), self.kind.to_string())).chain(facts).collect()
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("hook".to_owned(), json!(self.kind.as_str()));
        object.extend(self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        format!("{}\n", Value::Object(object))
    }
}

fn variable(name: &str) -> String {
    format!("PGAF_{}", name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use pgaf_core::keeper::Role;
    use pgaf_core::{GroupId, NodeId, Timeline};

    use super::*;

    #[test]
    fn environment_and_json_say_the_same() {
        let call = HookCall {
            kind: HookKind::RoleChange,
            old_role: Role::Standby,
            new_role: Role::Primary,
            node: NodeId(7),
            group: GroupId(2),
            timeline: Some(Timeline(3)),
        };
        let node = NodeFacts { name: "a \"b\"".to_owned(), port: 5432, ..NodeFacts::default() };
        let call = Call::of_node(&call, &node);
        let variables = call.variables();
        let json: Value = serde_json::from_str(&call.json()).expect("JSON");
        for (variable, value) in variables {
            let name = variable.strip_prefix("PGAF_").expect("a prefix").to_lowercase();
            let said = &json[&name];
            assert_eq!(said.as_str().map_or_else(|| said.to_string(), str::to_owned), value, "{name}");
        }
        assert_eq!(json["new_role"], "primary");
        assert_eq!(json["timeline"], 3);
    }
}
