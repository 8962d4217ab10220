//! Messages on standard error: time, process, level, text.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::registry::LookupSpan;

use super::local_time::LocalTime;

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
        let (time, process) = (LocalTime::now(), std::process::id());
        write!(writer, "{time} {process} {level:<5} ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

/// Nothing is printed while this holds.
static IS_MUTED: AtomicBool = AtomicBool::new(false);

/// No messages on a terminal that shows something else; those that go elsewhere are printed still.
pub(super) fn mute_on_terminal() {
    IS_MUTED.store(io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Prints messages again.
pub(super) fn unmute() {
    IS_MUTED.store(false, Ordering::Relaxed);
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
        // A message that cannot be written, on a full disk, is lost: to say so in its place would be a panic.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(io::stderr.with_filter(|_| !IS_MUTED.load(Ordering::Relaxed)))
        .with_ansi(false)
        .event_format(Lines)
        .init();
}
