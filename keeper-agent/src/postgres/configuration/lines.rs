//! The lines of a configuration file of ours.

/// The first line.
pub(super) const HEADER: &str = "# Written by pg_autoctl, which overwrites what is changed here.\n";

/// Lines of a configuration file.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.push_str(&format!("{name} = {}\n", quote(value)));
    }
}

fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

pub(super) fn unquote(value: &str) -> String {
    let inner = value.trim();
    let inner = inner.strip_prefix('\'').unwrap_or(inner);
    let inner = inner.strip_suffix('\'').unwrap_or(inner);
    inner.replace("''", "'").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_quoting() {
        for value in ["", "it's", "a\\b", "ANY 1 (x, y)"] {
            assert_eq!(unquote(&quote(value)), value);
        }
    }
}
