//! Host names to addresses, as libc does it: with its files, its name services and its modules.
//!
//! A lookup may take as long as its name server is silent, so each has a thread of its own, at most [`MOST_LOOKUPS`] at
//! once, and no probe waits for it when the addresses of before are known. Such a thread calls libc and nothing of
//! Postgres, and no signal reaches it: those are for the process's main thread.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Lookups at once: a silent name server must not pile up threads.
const MOST_LOOKUPS: usize = 32;
/// An answer younger than this is not asked for again.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Between two looks whether a first lookup has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Of a thread; name service modules need some.
const STACK_BYTES: usize = 1 << 20;

/// What is known of all names.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    addresses: HashMap<String, Found>,
    lookups: HashSet<String>,
}

struct Found {
    addresses: Vec<IpAddr>,
    at: Instant,
}

impl Names {
    /// The addresses of a host: an address, or what the name was last found to mean. Only a name that never was is
    /// waited for; whoever calls has a limit.
    pub(super) async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        loop {
            let known = self.refresh(host);
            if !known.is_empty() {
                return known;
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// What is known, and a lookup begun if that is old.
    fn refresh(&self, host: &str) -> Vec<IpAddr> {
        let mut known = self.lock();
        let found = known.addresses.get(host);
        let is_fresh = found.is_some_and(|found| found.at.elapsed() < FRESH_FOR);
        let addresses = found.map(|found| found.addresses.clone()).unwrap_or_default();
        let may_begin = known.lookups.len() < MOST_LOOKUPS && !known.lookups.contains(host);
        if !is_fresh && may_begin && self.begin(host).is_ok() {
            known.lookups.insert(host.to_owned());
        }
        addresses
    }

    fn begin(&self, host: &str) -> io::Result<()> {
        let (names, host) = (self.clone(), host.to_owned());
        without_signals(move || {
            let found: Vec<IpAddr> = (host.as_str(), 0)
                .to_socket_addrs()
                .map(|found| found.map(|address| address.ip()).collect())
                .unwrap_or_default();
            let mut known = names.lock();
            known.lookups.remove(&host);
            // What is not found now keeps its addresses, but is not asked for again at once.
            let before = known.addresses.remove(&host).map(|found| found.addresses);
            let addresses = if found.is_empty() { before.unwrap_or_default() } else { found };
            known.addresses.insert(host, Found { addresses, at: Instant::now() });
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs it on a thread that inherits a mask of all signals.
fn without_signals(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // SAFETY: the masks are initialised before they are read; the mask of this thread is put back before anything else
    // runs.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let spawned = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        spawned.map(|_| ())
    }
}
