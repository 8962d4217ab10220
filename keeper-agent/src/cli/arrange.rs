//! `pause`, `resume`, and switchovers at a time: what a person arranges for a formation.

use pgaf_core::GroupId;

use super::commands::{Pause, Resume};
use super::error::{CliError, CliResult};
use super::target::Target;
use crate::monitor::MonitorConnection;

/// `pause`
pub(super) async fn pause(options: &Pause) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.formation);
    let monitor = target.connect().await?;
    monitor.pause_failover(&formation, options.during).await?;
    tell(&monitor, &formation, None).await
}

/// `resume`
pub(super) async fn resume(options: &Resume) -> CliResult {
    let target = Target::of(&options.monitor)?;
    let formation = target.formation(&options.formation);
    let monitor = target.connect().await?;
    if monitor.resume_failover(&formation).await? {
        tracing::info!("automatic failover of formation \"{formation}\" is resumed");
    } else {
        tracing::info!("automatic failover of formation \"{formation}\" was not paused");
    }
    Ok(())
}

/// `perform switchover --at`
pub(super) async fn schedule(
    monitor: &MonitorConnection,
    formation: &str,
    group: GroupId,
    time: &str,
) -> CliResult {
    if !has_time_zone(time) {
        return Err(CliError::bad_arguments(format!(
            "\"{time}\" has no time zone: write it like 2026-12-01 03:00+01 or 2026-12-01 03:00 Europe/Berlin"
        )));
    }
    monitor.schedule_switchover(formation, group, time).await?;
    tell(monitor, formation, Some(group)).await
}

/// `perform switchover --cancel`
pub(super) async fn cancel(monitor: &MonitorConnection, formation: &str, group: GroupId) -> CliResult {
    if monitor.cancel_switchover(formation, group).await? {
        tracing::info!("the scheduled switchover of group {group} is cancelled");
    } else {
        tracing::info!("no switchover of group {group} was scheduled");
    }
    Ok(())
}

async fn tell(monitor: &MonitorConnection, formation: &str, group: Option<GroupId>) -> CliResult {
    for line in monitor.arrangements(formation, group).await? {
        tracing::info!("{line}");
    }
    Ok(())
}

/// The monitor's own zone is nobody's intention: after the time of day, there is an offset or a name.
fn has_time_zone(time: &str) -> bool {
    let Some((_, rest)) = time.split_once(':') else { return false };
    let lower = rest.to_ascii_lowercase();
    let rest = lower.trim_end().trim_end_matches("am").trim_end_matches("pm");
    rest.contains(['+', '-']) || rest.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_a_zone_are_told_apart() {
        for time in [
            "2026-12-01 03:00+01",
            "2026-12-01T03:00:00Z",
            "2026-12-01 03:00 Europe/Berlin",
            "2026-12-01 03:00-08:00",
        ] {
            assert!(has_time_zone(time), "{time}");
        }
        for time in ["2026-12-01 03:00", "2026-12-01", "03:00", "2026-12-01 03:00 PM", "tomorrow"] {
            assert!(!has_time_zone(time), "{time}");
        }
    }
}
