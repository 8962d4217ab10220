//! `pause`, `resume`, and switchovers at a time: what a person arranges for a formation.

use std::time::Duration;

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

/// A time for which something holds: a number with s, min, h or d.
///
/// # Errors
/// Anything else.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "s" => 1,
        "min" | "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("\"{text}\" is not a time like 90s, 30min, 2h or 1d")),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds) if seconds > 0 && seconds <= 366 * 86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("\"{text}\" is not a time from 1 s to a year")),
    }
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

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for text in ["", "h", "2", "0s", "-1h", "1w", "99999999999999999999h", "4000d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
