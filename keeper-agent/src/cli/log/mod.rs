//! Messages on standard error: time, process, level, text. Nothing waits until they are read.

mod queue;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::{MakeWriter, MakeWriterExt};
use tracing_subscriber::registry::LookupSpan;

use self::queue::Queue;
use super::local_time::LocalTime;

/// At its end, a program waits this long for the last messages to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Where messages go once `start` has been called.
static QUEUE: OnceLock<Queue> = OnceLock::new();

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
        writer.write_str(&prefix(*event.metadata().level()))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

fn prefix(level: Level) -> String {
    let (time, process) = (LocalTime::now(), std::process::id());
    format!("{time} {process} {level:<5} ")
}

/// One message that is being formatted; it is written with a single call.
struct Message;

impl Write for Message {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(queue) = QUEUE.get() {
            queue.push(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Messages;

impl MakeWriter<'_> for Messages {
    type Writer = Message;

    fn make_writer(&self) -> Message {
        Message
    }
}

/// Nothing is printed while this holds.
static IS_MUTED: AtomicBool = AtomicBool::new(false);

/// No messages on a terminal that shows something else; those that go elsewhere are printed still.
pub(super) fn mute_on_terminal() {
    flush();
    IS_MUTED.store(io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Prints messages again.
pub(super) fn unmute() {
    IS_MUTED.store(false, Ordering::Relaxed);
}

/// Waits until what was said so far is written, a second at most: whoever does not read is not waited for.
pub(super) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_LIMIT);
    }
}

/// Begins to print messages: from INFO up; `-v` says so, `-vv` adds DEBUG and `-vvv` TRACE, and `-q` leaves errors only.
pub(super) fn start(verbose: u8, is_quiet: bool) {
    let level = match (is_quiet, verbose) {
        (true, _) => "error",
        (false, 0 | 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let others = if is_quiet { "error" } else { "warn" };
    // Without a standard error there is nobody to say anything to.
    if let Ok(target) = io::stderr().as_fd().try_clone_to_owned() {
        QUEUE
            .get_or_init(|| Queue::start(target, |discarded| queue::notice(discarded, &prefix(Level::WARN))));
    }
    // What the consensus has to say to operators, its agent says.
    let consensus = if verbose > 1 { "warn" } else { "off" };
    let filter =
        EnvFilter::new(format!("{others},openraft={consensus},keeper_agent={level},pg_autoctl={level}"));
    tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(Messages.with_filter(|_| !IS_MUTED.load(Ordering::Relaxed)))
        .with_ansi(false)
        .event_format(Lines)
        .init();
    report_panics();
}

/// A panic is told like anything else: the way that Rust prints it waits for whoever reads.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        unmute();
        tracing::error!("{panic}");
        flush();
    }));
}
