//! Settings of Postgres that all nodes of a formation have: `set`, `unset` and `get formation postgres-settings`.

use std::collections::BTreeMap;

use super::commands::FormationChoice;
use super::error::CliResult;
use super::print;
use super::table::{Align, Column, render};
use super::target::Target;
use crate::monitor::{FormationSetting, MonitorConnection};

const COLUMNS: [Column; 3] = [
    Column::new("Setting", Align::Right, 0),
    Column::new("Value", Align::Left, 0),
    Column::new("Not in force", Align::Left, 12),
];

/// Sets those with a value, takes back those without, and shows what there is.
pub(super) async fn change(
    choice: &FormationChoice,
    settings: BTreeMap<String, Option<String>>,
) -> CliResult {
    let target = Target::of(&choice.monitor)?;
    let formation = target.formation(&choice.formation);
    let monitor = target.connect().await?;
    if monitor.set_postgres_settings(&formation, &settings).await? {
        tracing::info!("all nodes of formation \"{formation}\" are told");
    } else {
        tracing::info!("nothing has changed in formation \"{formation}\"");
    }
    print_settings(&monitor, &formation, choice).await
}

/// Shows what is set, and which nodes do not follow it.
pub(super) async fn show(choice: &FormationChoice) -> CliResult {
    let target = Target::of(&choice.monitor)?;
    let formation = target.formation(&choice.formation);
    print_settings(&target.connect().await?, &formation, choice).await
}

async fn print_settings(monitor: &MonitorConnection, formation: &str, choice: &FormationChoice) -> CliResult {
    if choice.json.json {
        return print::line(&monitor.postgres_settings_json(formation).await?);
    }
    let rows: Vec<[String; 3]> = monitor.postgres_settings(formation).await?.into_iter().map(row).collect();
    print::line(&render(&COLUMNS, &rows))
}

fn row(setting: FormationSetting) -> [String; 3] {
    let mut notes = setting.not_applied;
    if !setting.pending_restart.is_empty() {
        notes.insert(0, format!("after a restart of {}", setting.pending_restart.join(", ")));
    }
    [setting.name, setting.value, notes.join("; ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_force_is_said_beside_the_value() {
        let setting = FormationSetting {
            name: "work_mem".to_owned(),
            value: "64MB".to_owned(),
            pending_restart: vec!["n1".to_owned(), "n2".to_owned()],
            not_applied: vec!["n3: it is set in another place".to_owned()],
        };
        let note = "after a restart of n1, n2; n3: it is set in another place";
        assert_eq!(row(setting), ["work_mem", "64MB", note]);
    }
}
