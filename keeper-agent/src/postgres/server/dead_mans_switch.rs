//! Fencing that depends on nobody: a thread of its own that kills Postgres at a given moment of the boot-time clock, unless
//! it is told a later one before.
//!
//! Whatever holds up the keeper must not hold up this thread. It shares two words of memory with the rest, and takes no
//! lock, allocates nothing and reads no file but those of /proc from the moment that has come until Postgres is dead.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write as _;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use std::{io, process};

use rustix::fs::{RawDir, SeekFrom, readlinkat_raw, seek};
use rustix::io::{DupFlags, dup3};
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::clock::BootTime;

/// In place of a moment: it is not armed.
const DISARMED: u64 = u64::MAX;
/// After Postgres has been killed and nobody has said anything new, what is left of it is looked for this often.
const SWEEP_INTERVAL: Duration = Duration::from_millis(20);
/// The longest path of a data directory, as the system has it.
const PATH_BYTES: usize = 4096;

/// The switch; its thread ends when this is dropped.
pub(super) struct DeadMansSwitch {
    shared: Arc<Shared>,
}

struct Shared {
    /// When to kill, in nanoseconds since the machine booted.
    deadline: AtomicU64,
    is_over: AtomicBool,
    timer: OwnedFd,
    /// Refers to the postmaster. The number stays, what it refers to is replaced in one system call: whoever uses it means
    /// either the former or the present one, and never another process.
    postmaster: OwnedFd,
    /// Where the processes of Postgres work.
    pgdata: Vec<u8>,
}

impl DeadMansSwitch {
    /// Starts the thread; it is not armed, and aims at no postmaster. The path is without links, as the system tells it.
    pub(super) fn start(real_pgdata: &Path) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
        let shared = Arc::new(Shared {
            deadline: AtomicU64::new(DISARMED),
            is_over: AtomicBool::new(false),
            timer,
            postmaster: File::open("/dev/null")?.into(),
            pgdata: real_pgdata.as_os_str().as_bytes().to_vec(),
        });
        let processes = File::open("/proc")?;
        let watching = Arc::clone(&shared);
        thread::Builder::new()
            .name("dead-man".to_owned())
            .stack_size(128 << 10)
            .spawn(move || watching.watch(processes.as_fd()))?;
        Ok(Self { shared })
    }

    /// Whom to kill from now on: the process behind this descriptor. One that is gone need not be forgotten, the descriptor
    /// means nobody else.
    pub(super) fn aim(&self, postmaster: BorrowedFd<'_>) {
        let number = self.shared.postmaster.as_raw_fd();
        // SAFETY: it is open, and this is the only place that changes what it refers to; it stays owned by `shared`, and is
        // not closed here.
        #[allow(unsafe_code)]
        let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        if let Err(error) = dup3(postmaster, &mut target, DupFlags::CLOEXEC) {
            tracing::error!("the dead man's switch does not know the postmaster: {error}");
        }
    }

    /// Kills at this moment, unless told otherwise before; `None` disarms it. After it has killed, it kills whatever
    /// is started until it is told something new.
    pub(super) fn arm(&self, deadline: Option<BootTime>) {
        let since_boot = deadline.map(BootTime::since_boot);
        let nanoseconds =
            since_boot.map_or(DISARMED, |since| u64::try_from(since.as_nanos()).unwrap_or(DISARMED - 1));
        self.shared.deadline.store(nanoseconds, Ordering::SeqCst);
        self.shared.set_timer(since_boot.unwrap_or_default());
    }
}

impl Drop for DeadMansSwitch {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // A moment that has passed wakes it.
        self.shared.set_timer(Duration::from_nanos(1));
    }
}

impl Shared {
    /// Zero stops the timer.
    fn set_timer(&self, at: Duration) {
        let moment = Timespec {
            tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: moment };
        if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once) {
            tracing::error!("could not set the dead man's switch: {error}");
        }
    }

    fn watch(&self, processes: BorrowedFd<'_>) {
        while self.wait() {
            if !self.is_due() {
                continue;
            }
            self.kill(processes);
            tracing::error!(
                "the keeper has not renewed its authority in time: killed Postgres, so that it acknowledges nothing more"
            );
            // Whatever was being started, or has not died yet.
            while self.is_due() {
                thread::sleep(SWEEP_INTERVAL);
                if self.is_due() {
                    self.kill(processes);
                }
            }
        }
    }

    /// Waits for the moment; false at the end.
    fn wait(&self) -> bool {
        let mut expirations = [0; 8];
        match rustix::io::read(&self.timer, &mut expirations) {
            Ok(_) | Err(rustix::io::Errno::INTR) => !self.is_over.load(Ordering::SeqCst),
            // The descriptor is good for as long as this lives: the system is broken, and so is every promise.
            Err(_) => process::abort(),
        }
    }

    fn is_due(&self) -> bool {
        let now = u64::try_from(BootTime::now().since_boot().as_nanos()).unwrap_or(DISARMED - 1);
        !self.is_over.load(Ordering::SeqCst) && self.deadline.load(Ordering::SeqCst) <= now
    }

    /// The postmaster first, so that it starts no new processes, and then those it has: without it they would end when
    /// they next wait for something, which may be late.
    fn kill(&self, processes: BorrowedFd<'_>) {
        // That it is gone already is as good; what has no postmaster is found below.
        let _ = pidfd_send_signal(&self.postmaster, Signal::KILL);
        if seek(processes, SeekFrom::Start(0)).is_err() {
            return;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut entries = RawDir::new(processes, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let pid =
                entry.file_name().to_str().ok().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid
                && self.is_of_postgres(processes, pid)
            {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// A process of Postgres that works in the data directory. Both links are read and not followed: the data may be on a
    /// disk that hangs.
    fn is_of_postgres(&self, processes: BorrowedFd<'_>, pid: Pid) -> bool {
        let mut buffer = [MaybeUninit::<u8>::uninit(); PATH_BYTES];
        let is_here = link(processes, pid, "cwd", &mut buffer).is_some_and(|cwd| cwd == self.pgdata);
        is_here
            && link(processes, pid, "exe", &mut buffer).is_some_and(|exe| {
                let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                name.starts_with(b"postgres") || name.starts_with(b"postmaster")
            })
    }
}

/// What a link of a process leads to.
fn link<'a>(
    processes: BorrowedFd<'_>,
    pid: Pid,
    name: &str,
    buffer: &'a mut [MaybeUninit<u8>],
) -> Option<&'a [u8]> {
    let mut path = [0; 32];
    write!(&mut path[..], "{}/{name}", pid.as_raw_nonzero()).ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    readlinkat_raw(processes, path, buffer).ok().map(|(found, _)| &*found)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Instant;

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    fn sleeper() -> (Child, OwnedFd) {
        let child = Command::new("sleep").arg("60").spawn().expect("started");
        let pid = Pid::from_child(&child);
        (child, pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor"))
    }

    fn is_alive(child: &mut Child) -> bool {
        child.try_wait().expect("asked").is_none()
    }

    fn in_milliseconds(milliseconds: u64) -> Option<BootTime> {
        let since_boot = BootTime::now().since_boot() + Duration::from_millis(milliseconds);
        Some(BootTime::from(pgaf_core::keeper::Moment::after_boot(since_boot)))
    }

    #[test]
    fn it_kills_in_time_whom_it_aims_at_and_not_while_it_is_renewed() {
        let directory = tempfile::tempdir().expect("a directory");
        let switch = DeadMansSwitch::start(directory.path()).expect("started");
        let (mut first, first_fd) = sleeper();
        let (mut second, second_fd) = sleeper();
        switch.aim(first_fd.as_fd());
        switch.aim(second_fd.as_fd());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(600) {
            switch.arm(in_milliseconds(300));
            thread::sleep(Duration::from_millis(20));
        }
        assert!(is_alive(&mut second), "renewed");
        let armed = Instant::now();
        switch.arm(in_milliseconds(100));
        while is_alive(&mut second) {
            assert!(armed.elapsed() < Duration::from_secs(5), "not killed");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(armed.elapsed() >= Duration::from_millis(100), "too early");
        assert!(is_alive(&mut first), "it does not aim at that one any more");

        // Nothing is started until there is a new word; then it lives.
        let (mut third, third_fd) = sleeper();
        switch.aim(third_fd.as_fd());
        assert!(!third.wait().expect("ended").success());
        switch.arm(None);
        switch.aim(first_fd.as_fd());
        thread::sleep(Duration::from_millis(100));
        assert!(is_alive(&mut first), "disarmed");
        first.kill().expect("killed");
        first.wait().expect("ended");
    }

    #[test]
    fn other_programs_and_other_directories_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut here =
            Command::new("sleep").arg("60").current_dir(directory.path()).spawn().expect("started");
        let switch = DeadMansSwitch::start(directory.path()).expect("started");
        switch.arm(in_milliseconds(1));
        thread::sleep(Duration::from_millis(100));
        assert!(is_alive(&mut here), "no process of Postgres");
        here.kill().expect("killed");
        here.wait().expect("ended");
    }
}
