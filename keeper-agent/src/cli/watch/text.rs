//! Values in few characters.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// In place of what does not fit.
const ELLIPSIS: char = '…';

/// How many columns a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// The text in at most so many columns.
pub(super) fn clip(text: &str, columns: u16) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = usize::from(columns.saturating_sub(width("…")));
    let mut used = 0;
    let mut clipped: String = text
        .chars()
        .take_while(|char| {
            used += char.width().unwrap_or(0);
            used <= room
        })
        .collect();
    if columns > 0 {
        clipped.push(ELLIPSIS);
    }
    clipped
}

/// A number of bytes in at most seven columns.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    const FACTOR: u64 = 1024;
    if count < FACTOR {
        return format!("{count} B");
    }
    let (mut whole, mut rest, mut unit) = (count, 0, "B");
    for larger in UNITS {
        if whole < FACTOR {
            break;
        }
        (rest, whole, unit) = (whole % FACTOR, whole / FACTOR, larger);
    }
    let tenths = rest * 10 / FACTOR;
    if whole < 10 { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
}

/// A duration in at most six columns, up to 999 days.
pub(super) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_end_with_an_ellipsis() {
        assert_eq!(clip("primary", 7), "primary");
        assert_eq!(clip("prepare_promotion", 7), "prepar…");
        assert_eq!(clip("日本語", 6), "日本語");
        assert_eq!(clip("日本語", 4), "日…");
        assert_eq!(clip("日本語", 1), "…");
        assert_eq!(clip("x", 0), "");
    }

    #[test]
    fn bytes_fit_in_seven_columns() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 kB"),
            (1536, "1.5 kB"),
            (10_239, "9.9 kB"),
            (10_240, "10 kB"),
            (1_048_575, "1023 kB"),
            (16 << 20, "16 MB"),
            (3 << 40, "3.0 TB"),
            (u64::MAX, "15 EB"),
        ] {
            assert_eq!(bytes(count), expected);
            assert!(expected.len() <= 7);
        }
    }

    #[test]
    fn ages_fit_in_six_columns() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
            (86_313_600, "999 d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
            assert!(expected.len() <= 7);
        }
    }
}
