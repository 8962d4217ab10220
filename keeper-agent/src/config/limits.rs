//! Values of settings that are well written and that nothing works with: refused when a person sets them, replaced by
//! the nearest that works when a file has them.

use std::time::Duration;

use super::node::NodeConfig;
use super::values::print_duration;

/// A primary reports every second and waits up to two for the answer: with less, one slow answer would fence it.
const LEAST_NETWORK_PARTITION: Duration = Duration::from_secs(2);

/// What pg_basebackup takes, in kB per second.
const LEAST_BACKUP_RATE: f64 = 32.0;
const MOST_BACKUP_RATE: f64 = 1024.0 * 1024.0;

/// A key with a value that nothing works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unworkable {
    /// `section.name`.
    pub(super) name: &'static str,
    /// The nearest value that works.
    pub(super) nearest: String,
    /// What is wrong with the value.
    pub(super) reason: String,
}

/// All of them.
pub(super) fn unworkable(config: &NodeConfig) -> Vec<Unworkable> {
    let (partition, rate) = (config.timeout.network_partition, &config.replication.maximum_backup_rate);
    let least = print_duration(LEAST_NETWORK_PARTITION);
    let is_short = partition < LEAST_NETWORK_PARTITION;
    let short = is_short.then(|| Unworkable {
        name: "timeout.network_partition_timeout",
        reason: format!(
            "{} is too short, a primary would fence itself when the monitor answers late: the least is {least} seconds",
            print_duration(partition)
        ),
        nearest: least,
    });
    let nearest = kilobytes(rate).and_then(|rate| match rate {
        rate if rate < LEAST_BACKUP_RATE => Some("32k"),
        rate if rate > MOST_BACKUP_RATE => Some("1024M"),
        _ => None,
    });
    let refused = nearest.map(|nearest| Unworkable {
        name: "replication.maximum_backup_rate",
        nearest: nearest.to_owned(),
        reason: format!("pg_basebackup refuses a rate of \"{rate}\" per second: it takes 32k to 1024M"),
    });
    short.into_iter().chain(refused).collect()
}

/// A rate in kB, read as pg_basebackup reads it; `None` when it is no rate.
pub(super) fn kilobytes(text: &str) -> Option<f64> {
    let (digits, unit) = match text.strip_suffix('M') {
        Some(digits) => (digits, 1024.0),
        None => (text.strip_suffix('k').unwrap_or(text), 1.0),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = digits.parse().ok().filter(|_| is_number)?;
    Some(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_pg_basebackup() {
        for (text, expected) in
            [("100M", Some(102_400.0)), ("512k", Some(512.0)), ("32", Some(32.0)), ("1.5M", Some(1536.0))]
        {
            assert_eq!(kilobytes(text), expected, "{text}");
        }
        for text in ["", "M", "-1", "1G", "10kM", "1e3", "inf", "nan", " 1"] {
            assert_eq!(kilobytes(text), None, "{text}");
        }
    }
}
