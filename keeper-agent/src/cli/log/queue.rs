//! Messages on their way to standard error: a bounded queue, and a thread that writes.
//!
//! Whoever has something to say never waits for whoever reads: what does not fit into the queue is discarded, counted, and
//! told with the next message that fits.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::http::note_discarded_log_message;

/// So many bytes may wait to be written.
const CAPACITY_BYTES: usize = 1 << 20;

/// Makes the message that tells how many were discarded.
type Notice = fn(u64) -> String;

/// A queue with its writer.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    is_filled: Condvar,
    is_written: Condvar,
    notice: Notice,
}

/// What is to be written.
struct Line {
    text: Vec<u8>,
    /// How many messages are discarded with it: one, but for a notice, which stands for many.
    messages: u64,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    discarded: u64,
    /// The writer has taken lines and is not done with them.
    is_writing: bool,
    /// The last write has failed: what was discarded is told when there is something new to say.
    has_failed: bool,
}

impl Queue {
    /// Begins to write to that file; without a thread, messages are discarded.
    pub(super) fn start(target: OwnedFd, notice: Notice) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            is_filled: Condvar::new(),
            is_written: Condvar::new(),
            notice,
        });
        let writer = Arc::clone(&shared);
        let started = thread::Builder::new()
            .name("log".to_owned())
            .stack_size(128 << 10)
            .spawn(move || writer.write_forever(target.as_fd()));
        // There is nobody to tell; what is never written shows as what flush has waited for in vain.
        drop(started);
        Self(shared)
    }

    /// Takes a message, or discards it when there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        state.has_failed = false;
        state.tell_discarded(self.0.notice);
        if state.discarded > 0 || state.bytes + line.len() > CAPACITY_BYTES {
            state.discarded += 1;
            note_discarded_log_message();
        } else {
            state.add(Line { text: line.to_vec(), messages: 1 });
        }
        drop(state);
        self.0.is_filled.notify_one();
    }

    /// Waits until everything is written, no longer than this; false when something is not.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.0.state();
        while state.is_writing || !state.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.is_written.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_forever(&self, target: BorrowedFd<'_>) {
        loop {
            let line = self.next();
            // What could not be written, on a full disk or to a reader that went away, cannot be told there either.
            let has_failed = write_all(target, line.text.as_slice()).is_err();
            let mut state = self.state();
            state.is_writing = false;
            state.has_failed = has_failed;
            if has_failed {
                state.discarded += line.messages;
            }
            drop(state);
            self.is_written.notify_all();
        }
    }

    /// Waits for a message, and takes it.
    fn next(&self) -> Line {
        let mut state = self.state();
        loop {
            if !state.has_failed {
                state.tell_discarded(self.notice);
            }
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.text.len();
                state.is_writing = true;
                return line;
            }
            state = self.is_filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn add(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
    }

    /// Where the discarded messages would be, says how many they were, as soon as that fits.
    fn tell_discarded(&mut self, notice: Notice) {
        if self.discarded == 0 {
            return;
        }
        let line = Line { text: notice(self.discarded).into_bytes(), messages: self.discarded };
        // Half of the queue is free by then: messages do not alternate with notices.
        if self.bytes + line.text.len() <= CAPACITY_BYTES / 2 {
            self.discarded = 0;
            self.add(line);
        }
    }
}

/// Writes to a file that may be set to fail rather than block, and not through Rust's standard error, whose lock others
/// would wait for.
fn write_all(target: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(target, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&target, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What stands in the log in place of messages that were discarded.
pub(super) fn notice(discarded: u64, before: &str) -> String {
    let mut text = before.to_owned();
    // Writing to a string does not fail.
    let _ =
        writeln!(text, "discarded {discarded} log messages: standard error is not read or cannot be written");
    text
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader};

    use super::*;

    fn tell(discarded: u64) -> String {
        notice(discarded, "")
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_discarded_is_counted() {
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        let queue = Queue::start(write, tell);
        let sent = 3 * CAPACITY_BYTES / 100;
        let line = format!("{:99}\n", "x");
        let began = Instant::now();
        for _ in 0..sent {
            queue.push(line.as_bytes());
        }
        assert!(!queue.flush(Duration::from_millis(50)), "nobody has read");
        assert!(began.elapsed() < Duration::from_secs(10));

        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(File::from(read)).lines().map_while(Result::ok) {
                sender.send(line).expect("received");
            }
        });
        let (mut seen, mut discarded) = (0, 0);
        while seen + discarded < sent {
            let line = receiver.recv_timeout(Duration::from_secs(10)).expect("more");
            match line.strip_prefix("discarded ").and_then(|rest| rest.split(' ').next()) {
                Some(count) => discarded += count.parse::<usize>().expect("a number"),
                None => seen += 1,
            }
        }
        assert_eq!(seen + discarded, sent);
        assert!(discarded > 0 && seen >= CAPACITY_BYTES / 100);
        assert!(queue.flush(Duration::from_secs(10)));
    }

    #[test]
    fn a_full_disk_discards_and_does_not_spin() {
        let full = File::options().write(true).open("/dev/full").expect("a full disk");
        let queue = Queue::start(full.into(), tell);
        queue.push(b"one\n");
        assert!(queue.flush(Duration::from_secs(10)));
        queue.push(b"two\n");
        assert!(queue.flush(Duration::from_secs(10)));
        let state = queue.0.state();
        assert!(state.discarded == 2 && state.has_failed && state.lines.is_empty(), "{}", state.discarded);
    }
}
