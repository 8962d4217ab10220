//! What a configuration says, as text and as JSON: without passwords.

use super::error::CliResult;
use super::print;
use crate::config::Config;

/// The sections with their keys.
pub(super) fn sections(config: &Config) -> serde_json::Value {
    let mut sections = serde_json::Map::new();
    for (section, name, value) in config.entries(true) {
        let section = sections.entry(section).or_insert_with(|| serde_json::json!({}));
        section[name] = serde_json::Value::String(value);
    }
    serde_json::Value::Object(sections)
}

/// Everything that is set, without passwords: as the file is, or as JSON.
pub(super) fn show(config: &Config, as_json: bool) -> CliResult {
    if as_json {
        return print::json(&sections(config));
    }
    let mut text = String::new();
    let mut current = "";
    for (section, name, value) in &config.entries(true) {
        if *section != current {
            if !current.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[{section}]\n"));
            current = section;
        }
        text.push_str(&format!("{name} = {value}\n"));
    }
    print::line(text.trim_end_matches('\n'))
}
