//! `show settings`, `show standby-names`, and `get formation settings`.

use super::super::error::CliResult;
use super::super::options::{Formation, FormationGroup, Json, MonitorOrPgdata};
use super::super::print;
use super::super::table::{Align, Column, render};
use super::super::target::Target;
use crate::monitor::Setting;

const COLUMNS: [Column; 4] = [
    Column::new("Context", Align::Right, 9),
    Column::new("Name", Align::Right, 0),
    Column::new("Setting", Align::Right, 25),
    Column::new("Value", Align::Left, 0),
];

/// Settings of a formation and its nodes.
pub(in crate::cli) async fn run(monitor: &MonitorOrPgdata, formation: &Formation, json: Json) -> CliResult {
    let target = Target::of(monitor)?;
    let formation = target.formation(formation);
    let monitor = target.connect().await?;
    if json.json {
        return print::line(&monitor.settings_json(&formation).await?);
    }
    print::line(&table(monitor.settings(&formation).await?))
}

fn table(settings: Vec<Setting>) -> String {
    let rows: Vec<[String; 4]> = settings
        .into_iter()
        .map(|setting| [setting.context, setting.name, setting.setting, setting.value])
        .collect();
    render(&COLUMNS, &rows)
}

/// Standbys that a commit on the primary waits for.
pub(super) async fn standby_names(
    monitor: &MonitorOrPgdata,
    group: &FormationGroup,
    json: Json,
) -> CliResult {
    let target = Target::of(monitor)?;
    let formation = target.formation(&group.formation);
    let monitor = target.connect().await?;
    let group = target.group(group, &monitor).await?;
    let names = monitor.synchronous_standby_names(&formation, group).await?;
    if json.json {
        print::json(&serde_json::json!({
            "formation": formation,
            "group": group,
            "synchronous_standby_names": names,
        }))
    } else {
        print::line(&format!("'{names}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_show_as_people_know_them() {
        let setting = |context: &str, name: &str, setting: &str, value: &str| Setting {
            context: context.to_owned(),
            name: name.to_owned(),
            setting: setting.to_owned(),
            value: value.to_owned(),
        };
        let expected = concat!(
            "  Context |    Name |                   Setting | Value                             \n",
            "----------+---------+---------------------------+-----------------------------------\n",
            "formation | default |      number_sync_standbys | 0                                 \n",
            "  primary |      n1 | synchronous_standby_names | 'ANY 1 (pgautofailover_standby_2)'\n",
        );
        let names = "'ANY 1 (pgautofailover_standby_2)'";
        let shown = table(vec![
            setting("formation", "default", "number_sync_standbys", "0"),
            setting("primary", "n1", "synchronous_standby_names", names),
        ]);
        assert_eq!(shown, expected);
    }
}
