//! Leftovers: what an earlier run that died has left behind, and what this one leaves when it is interrupted.
//!
//! Everything a run makes outside its memory carries the process id in its name: namespaces and one directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::disk::unmount_below;
use super::network::{NAME_PREFIX, delete_namespace};
use super::process::{kill_below, kill_namespace};

/// The directory of this run, below the system's temporary directory.
pub(crate) fn run_directory() -> PathBuf {
    directory_of(std::process::id())
}

fn directory_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{NAME_PREFIX}{pid}"))
}

/// Whether the operator wants to look at what is left.
pub(crate) fn is_kept() -> bool {
    std::env::var_os("PGAF_KEEP").is_some_and(|value| value == "1")
}

/// Removes what runs of dead processes have left.
pub(crate) fn sweep_dead_runs() {
    let names = entries(Path::new("/run/netns")).into_iter().chain(if is_kept() {
        Vec::new()
    } else {
        entries(&std::env::temp_dir())
    });
    let mut pids: Vec<u32> = names.filter_map(|name| pid_in(&name)).collect();
    pids.sort_unstable();
    pids.dedup();
    for pid in pids {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            sweep(pid);
        }
    }
}

/// On SIGINT, SIGTERM and SIGHUP: removes everything of this run and exits as a signal would.
pub(crate) fn clean_up_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("interrupted, cleaning up");
            sweep(std::process::id());
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Kills every process, also of hosts without a namespace, and deletes every namespace and directory, of the run with that process id.
pub(crate) fn sweep(pid: u32) {
    for name in entries(Path::new("/run/netns")) {
        if pid_in(&name) == Some(pid) {
            if let Err(error) = kill_namespace(&name) {
                eprintln!("{error:#}");
            }
            delete_namespace(&name);
        }
    }
    if let Err(error) = kill_below(&directory_of(pid)) {
        eprintln!("{error:#}");
    }
    unmount_below(&directory_of(pid));
    if !is_kept() {
        remove_directory(&directory_of(pid));
    }
}

/// Removes a directory and the shared memory segments of servers that were killed in it.
pub(crate) fn remove_directory(directory: &Path) {
    release_shared_memory(directory);
    if let Err(error) = fs::remove_dir_all(directory)
        && directory.exists()
    {
        eprintln!("{} is left behind: {error}", directory.display());
    }
}

/// Removes the shared memory segments of servers that were killed in a directory.
pub(crate) fn release_shared_memory(directory: &Path) {
    for file in postmaster_files(directory, 3) {
        let content = fs::read_to_string(file).unwrap_or_default();
        let segment = content.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
        if let Some(id) = segment {
            // A server that stopped cleanly, or in another way took it along, has left nothing to remove.
            let _gone_already = Command::new("ipcrm").args(["-m", id]).output();
        }
    }
}

fn postmaster_files(directory: &Path, depth: u8) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in entries(directory) {
        let path = directory.join(&name);
        if name == "postmaster.pid" {
            found.push(path);
        } else if depth > 0 && path.is_dir() && !path.is_symlink() {
            found.extend(postmaster_files(&path, depth - 1));
        }
    }
    found
}

fn pid_in(name: &str) -> Option<u32> {
    name.strip_prefix(NAME_PREFIX)?.split('-').next()?.parse().ok()
}

fn entries(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
