//! The report of a run, as text.

use std::fmt::Write as _;

use super::check::{Check, reads_in_last_moments};
use super::history::{Life, Played, Struck};
use super::kind::Reach;
use super::pauses::{Distribution, by_kind};
use super::settings::Settings;

/// All there is to say.
pub(super) fn report(settings: &Settings, system: &str, lives: &[Life]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = write(&mut text, settings, system, lives);
    text
}

fn write(text: &mut String, settings: &Settings, system: &str, lives: &[Life]) -> std::fmt::Result {
    writeln!(text, "{system}: {}\n", settings.command())?;
    let rounds: usize = lives.iter().map(|life| life.rounds.len()).sum();
    let faults: usize = lives.iter().flat_map(|life| &life.rounds).map(|played| played.struck.len()).sum();
    let seconds: f64 = lives.iter().map(|life| life.since(life.ended).as_secs_f64()).sum();
    writeln!(
        text,
        "{rounds} rounds with {faults} faults and commands in {seconds:.0} s, in {} cluster(s)",
        lives.len()
    )?;
    writeln!(text, "{}\n", counts(lives))?;
    verdicts(text, lives)?;
    distributions(text, lives)?;
    for (number, life) in (1..).zip(lives) {
        writeln!(text, "\nCluster {number}")?;
        for played in &life.rounds {
            schedule(text, life, played)?;
        }
        for (at, note) in &life.notes {
            writeln!(text, "{:8.1} s  {note}", life.since(*at).as_secs_f64())?;
        }
    }
    Ok(())
}

/// What clients were told.
fn counts(lives: &[Life]) -> String {
    let ledgers = || lives.iter().flat_map(|life| &life.ledgers);
    let sent: u64 = ledgers().map(|ledger| ledger.last_sent).sum();
    let acknowledged: usize = ledgers().map(|ledger| ledger.acks.len()).sum();
    let warned: usize = ledgers().map(|ledger| ledger.unreplicated.len()).sum();
    let read: usize = lives.iter().map(|life| life.readings.len()).sum();
    format!(
        "{sent} rows sent, {acknowledged} acknowledged, {warned} answered with a warning; {read} rows read back"
    )
}

fn verdicts(text: &mut String, lives: &[Life]) -> std::fmt::Result {
    for check in Check::ALL {
        let found = lives.iter().flat_map(|life| life.anomalies.iter().map(move |anomaly| (life, anomaly)));
        let found: Vec<_> = found.filter(|(_, anomaly)| anomaly.check == check).collect();
        let verdict = if found.is_empty() { "ok".to_owned() } else { format!("{} ANOMALIES", found.len()) };
        writeln!(text, "{:<70} {verdict}", check.description())?;
        for (life, anomaly) in found {
            writeln!(text, "    {:.1} s: {}", life.since(anomaly.at).as_secs_f64(), anomaly.text)?;
        }
    }
    let moments: usize = lives.iter().map(reads_in_last_moments).sum();
    if moments > 0 {
        writeln!(text, "{moments} vanished row(s) were read from a dying server, in its last half second")?;
    }
    let blind = lives.iter().filter(|life| life.sets.is_empty()).count();
    if blind > 0 {
        writeln!(text, "{blind} cluster(s) had no primary in the end: their rows could not be checked")?;
    }
    Ok(())
}

fn distributions(text: &mut String, lives: &[Life]) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<50} {:>6} {:^23} {:^23}",
        "seconds", "rounds", "without a commit", "healed until whole"
    )?;
    let names = ["median", "p90", "max"].map(|name| format!("{name:>7}")).concat();
    writeln!(text, "{:<50} {:>6} {names:>23} {names:>23}", "", "")?;
    for (label, times) in by_kind(lives) {
        let (pauses, whole) = (cells(&times.pauses), cells(&times.until_whole));
        writeln!(text, "{label:<50} {:>6} {pauses:>23} {whole:>23}", times.pauses.count())?;
    }
    Ok(())
}

fn cells(times: &Distribution) -> String {
    let cell = |percent| {
        if times.count() == 0 {
            format!("{:>7}", "-")
        } else {
            format!("{:>7.2}", times.percentile_s(percent))
        }
    };
    [50, 90, 100].map(cell).concat()
}

fn schedule(text: &mut String, life: &Life, played: &Played) -> std::fmt::Result {
    for Struck { index, from, to, refused, .. } in &played.struck {
        let fault = &played.round.faults[*index];
        let victim = match fault.other {
            Some(other) => format!(" {}, {}", played.cast.name(fault.place), played.cast.name(other)),
            None if fault.kind.reach() == Reach::Group => String::new(),
            None => format!(" {}", played.cast.name(fault.place)),
        };
        let how = match refused {
            Some(refused) => format!("not done: {}", refused.lines().next().unwrap_or_default()),
            None if fault.kind.is_instant() => String::new(),
            None => format!("for {:.1} s", (*to - *from).as_secs_f64()),
        };
        let at = life.since(*from).as_secs_f64();
        writeln!(
            text,
            "{at:8.1} s  round {:<4} {} ({}{victim}) {how}",
            played.round.number,
            fault.label(),
            fault.what()
        )?;
    }
    let whole = played.whole.map_or_else(
        || "never whole again".to_owned(),
        |whole| {
            format!(
                "whole {:.1} s after healing",
                whole.saturating_duration_since(played.healed).as_secs_f64()
            )
        },
    );
    let at = life.since(played.healed).as_secs_f64();
    writeln!(text, "{at:8.1} s             {:.2} s without a commit, {whole}", played.pause.as_secs_f64())
}
