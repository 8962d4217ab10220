//! Standard output. A reader that went away ends the program quietly, as it does for other programs in a pipe.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::error::{CliError, CliResult};
use super::log;
use crate::exit::Exit;

/// One level of nesting.
const INDENT: &str = "    ";

/// Prints text and a newline.
pub(super) fn line(text: &str) -> CliResult {
    // On a terminal, what was said before stands before it.
    log::flush();
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(Exit::Quit as i32),
        Err(error) => Err(CliError::new(Exit::Internal, format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints JSON with the keys in the order that the type has them.
pub(super) fn json(value: &impl Serialize) -> CliResult {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(INDENT.as_bytes());
    value
        .serialize(&mut Serializer::with_formatter(&mut text, formatter))
        .map_err(|error| CliError::new(Exit::Internal, format!("cannot write JSON: {error}")))?;
    line(&String::from_utf8_lossy(&text))
}

/// Prints JSON as the `jsonb_pretty` of Postgres does, which has short keys first.
pub(super) fn jsonb(value: &Value) -> CliResult {
    line(&jsonb_pretty(value, ""))
}

fn jsonb_pretty(value: &Value, indent: &str) -> String {
    let inner = format!("{indent}{INDENT}");
    let (open, items, close) = match value {
        Value::Array(values) => {
            let items = values.iter().map(|value| jsonb_pretty(value, &inner));
            ("[", items.collect::<Vec<String>>(), "]")
        }
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort_by_key(|key| (key.len(), *key));
            let pair = |key: &String| {
                let value = jsonb_pretty(&object[key], &inner);
                format!("{}: {value}", Value::String(key.clone()))
            };
            ("{", keys.into_iter().map(pair).collect(), "}")
        }
        scalar => return scalar.to_string(),
    };
    let lines: Vec<String> = items.iter().map(|item| format!("{inner}{item}")).collect();
    if lines.is_empty() {
        return format!("{open}\n{indent}{close}");
    }
    format!("{open}\n{}\n{indent}{close}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_come_first() {
        let value = serde_json::json!([{ "type": "monitor", "name": "m", "uri": "a\"b" }]);
        let expected = "[\n    {\n        \"uri\": \"a\\\"b\",\n        \"name\": \"m\",\n        \
                        \"type\": \"monitor\"\n    }\n]";
        assert_eq!(jsonb_pretty(&value, ""), expected);
    }
}
