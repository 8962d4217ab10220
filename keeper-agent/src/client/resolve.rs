//! Host names to addresses, as libc does it: with its files, its name services and its modules.
//!
//! A lookup may take as long as its name server is silent, so each has a thread of its own, and nobody waits for it
//! beyond a limit. What a name meant the last time counts while nothing newer is known: the loss of a name server is
//! not the loss of a host.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

/// How long to wait for a lookup when the addresses of before are known.
const REFRESH_LIMIT: Duration = Duration::from_millis(300);
/// An answer younger than this is not asked for again.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// What is known of a name.
#[derive(Default)]
struct Name {
    /// The addresses of the last good lookup; the one that was connected to last comes first.
    known: Vec<IpAddr>,
    found_at: Option<Instant>,
    lookup: Option<Lookup>,
}

/// A lookup that is under way.
#[derive(Clone)]
struct Lookup {
    began: Instant,
    done: watch::Receiver<Option<Result<Vec<IpAddr>, String>>>,
}

static NAMES: LazyLock<Mutex<HashMap<String, Name>>> = LazyLock::new(Mutex::default);

fn names() -> MutexGuard<'static, HashMap<String, Name>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of a host, within the limit. Those of before when the name cannot be looked up now.
///
/// # Errors
/// It never could be, and why.
pub async fn addresses(host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
    addresses_with(host, limit, look_up).await
}

/// This address of the host is tried first from now on.
pub(super) fn prefer(host: &str, address: IpAddr) {
    if let Some(name) = names().get_mut(host) {
        name.known.sort_by_key(|known| *known != address);
    }
}

async fn addresses_with(
    host: &str,
    limit: Duration,
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let (known, mut lookup) = {
        let mut names = names();
        let name = names.entry(host.to_owned()).or_default();
        if name.found_at.is_some_and(|found| found.elapsed() < FRESH_FOR) {
            return Ok(name.known.clone());
        }
        let lookup = match &name.lookup {
            Some(lookup) => lookup.clone(),
            None => begin(host, look_up).inspect(|lookup| name.lookup = Some(lookup.clone()))?,
        };
        (name.known.clone(), lookup)
    };
    let patience = match known.is_empty() {
        true => limit,
        false => limit.min(REFRESH_LIMIT).saturating_sub(lookup.began.elapsed()),
    };
    let why = match timeout(patience, lookup.done.wait_for(Option::is_some)).await {
        Ok(Ok(outcome)) => match outcome.as_ref() {
            Some(Ok(_)) => return Ok(names().get(host).map(|name| name.known.clone()).unwrap_or_default()),
            Some(Err(why)) => why.clone(),
            None => "the lookup was given up".to_owned(),
        },
        Ok(Err(_)) => "the lookup was given up".to_owned(),
        Err(_) => format!("no answer within {} ms", patience.as_millis()),
    };
    if known.is_empty() {
        return Err(format!("host name \"{host}\" does not resolve: {why}"));
    }
    tracing::debug!("host name \"{host}\" does not resolve: {why}; using its last known addresses");
    Ok(known)
}

/// Begins a lookup on a thread of its own. That thread outlives whoever waits for it, and no runtime waits for it.
fn begin(host: &str, look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Result<Lookup, String> {
    let (sender, done) = watch::channel(None);
    let host = host.to_owned();
    let run = move || {
        let found =
            look_up(&host).map_err(|error| error.to_string()).and_then(|found| match found.is_empty() {
                true => Err("it has no address".to_owned()),
                false => Ok(found),
            });
        note(&host, &found);
        // Nobody may be waiting any more.
        sender.send_replace(Some(found));
    };
    let spawned = std::thread::Builder::new().name("resolve".to_owned()).spawn(run);
    spawned.map_err(|error| format!("cannot look up a host name: {error}"))?;
    Ok(Lookup { began: Instant::now(), done })
}

fn note(host: &str, found: &Result<Vec<IpAddr>, String>) {
    let mut names = names();
    let name = names.entry(host.to_owned()).or_default();
    name.lookup = None;
    if let Ok(found) = found {
        let preferred = name.known.first().copied();
        let mut found = found.clone();
        found.sort_by_key(|address| Some(*address) != preferred);
        name.known = found;
        name.found_at = Some(Instant::now());
    }
}

fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()?.map(|socket| socket.ip()) {
        // libc gives the order in which they are to be tried.
        if !found.contains(&address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// libc reads these names as an address of the old forms, `1` or `127.1` or `0x7f000001`: no name service is asked for
/// them, and Postgres takes them in pg_hba.conf for an address without a mask.
pub fn is_taken_for_an_address(host: &str) -> bool {
    let is_number = |part: &str| {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (part, 10),
        };
        u64::from_str_radix(digits, radix).ok()
    };
    let parts: Vec<Option<u64>> = host.split('.').map(is_number).collect();
    let Some(numbers) = parts.into_iter().collect::<Option<Vec<u64>>>() else {
        return false;
    };
    let Some((last, before)) = numbers.split_last() else { return false };
    let room = 32_u32.saturating_sub(8 * u32::try_from(before.len()).unwrap_or(4));
    let is_old_form = before.len() < 4 && before.iter().all(|part| *part < 256) && *last < 1 << room;
    is_old_form && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn make_stale(host: &str) {
        names().get_mut(host).expect("known").found_at = None;
    }

    #[tokio::test]
    async fn addresses_and_names_of_the_hosts_file() {
        assert_eq!(addresses("192.0.2.1", LIMIT).await, Ok(vec![ONE]));
        let local = addresses("localhost", LIMIT).await.expect("in /etc/hosts");
        assert!(local.iter().all(IpAddr::is_loopback), "{local:?}");
        let why = addresses("no-such-host.invalid", LIMIT).await.expect_err("unknown");
        assert!(why.contains("no-such-host.invalid"), "{why}");
    }

    #[tokio::test]
    async fn a_name_server_that_swallows_packets_leaves_the_last_known_addresses() {
        static IS_SILENT: AtomicBool = AtomicBool::new(false);
        static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
        fn look_up(_: &str) -> io::Result<Vec<IpAddr>> {
            LOOKUPS.fetch_add(1, Ordering::Relaxed);
            while IS_SILENT.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            Ok(vec![ONE, TWO])
        }
        let host = "swallowed.test";
        assert_eq!(addresses_with(host, LIMIT, look_up).await, Ok(vec![ONE, TWO]));
        prefer(host, TWO);
        make_stale(host);
        IS_SILENT.store(true, Ordering::Relaxed);
        let begin = Instant::now();
        for _ in 0..20 {
            assert_eq!(addresses_with(host, LIMIT, look_up).await, Ok(vec![TWO, ONE]));
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "all wait for one lookup");
        assert_eq!(LOOKUPS.load(Ordering::Relaxed), 2, "one at a time");
        let begin = Instant::now();
        let limit = Duration::from_millis(100);
        addresses_with("never-seen.test", limit, look_up).await.expect_err("nothing is known");
        assert!(begin.elapsed() < Duration::from_secs(2), "bounded");
        IS_SILENT.store(false, Ordering::Relaxed);
    }

    #[test]
    fn names_of_digits() {
        for host in ["1", "1234567", "4294967295", "127.1", "10.0.5", "0x7f000001"] {
            assert!(is_taken_for_an_address(host), "{host}");
        }
        for host in ["4294967296", "123456789012", "db1", "1a", "127.0.0.1", "::1", "1.2.3.4.5", "", "300.1"]
        {
            assert!(!is_taken_for_an_address(host), "{host}");
        }
    }
}
