//! Messages on standard error: time, process, level, text.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = event.metadata().level();
        let (time, process) = (local_time(), std::process::id());
        write!(writer, "{time} {process} {level:<5} ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

/// The time of day here, as HH:MM:SS.
pub(super) fn local_time() -> String {
    let now = nix::time::ClockId::CLOCK_REALTIME.now().map_or(0, |now| now.tv_sec());
    time_of_day(now)
}

fn time_of_day(seconds_since_epoch: libc::time_t) -> String {
    // SAFETY: `tm` is plain data for which zeroes are valid, and both pointers are to live locals.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const seconds_since_epoch, &raw mut time);
        time
    };
    format!("{:02}:{:02}:{:02}", time.tm_hour, time.tm_min, time.tm_sec)
}

/// Begins to print messages: from INFO up, and one level more or less for each `-v` or `-q`.
pub(super) fn start(verbose: u8, quiet: u8) {
    let level = match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => "error",
        -1 => "warn",
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::new(format!("warn,keeper_agent={level},pg_autoctl={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Lines)
        .init();
}
