//! A wall clock that can be stepped on one host: a library that its programs preload.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::host::{Host, give_to_postgres};
use super::process::run;

/// Where a host keeps how far its clock is off, in seconds; below its home directory.
const OFFSET_FILE: &str = ".clock_offset";

/// Adds the seconds in a file to the wall clock, and leaves the other clocks alone. The file is mapped once, so that
/// reading the clock costs no more than it did.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void map_offset(void)
{
    char path[4096];
    const char *home = getenv("HOME");
    if (!home || snprintf(path, sizeof path, "%s/OFFSET_FILE", home) >= (int) sizeof path)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        offset = mapped;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME && result == 0 && offset)
        now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void) zone;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (result)
        *result = precise.tv_sec;
    return precise.tv_sec;
}
"#;

/// The library.
#[derive(Debug)]
pub(crate) struct SteppedClock;

impl SteppedClock {
    /// Compiles it into a directory; gives the variables with which programs use it.
    pub(crate) fn build(directory: &Path) -> Result<Vec<(String, String)>> {
        fs::create_dir_all(directory)?;
        let source = directory.join("stepped_clock.c");
        let library = directory.join("stepped_clock.so");
        fs::write(&source, SOURCE.replace("OFFSET_FILE", OFFSET_FILE))?;
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl"))?;
        let library = library.to_str().context("a path that is no text")?;
        Ok(vec![("LD_PRELOAD".to_owned(), library.to_owned())])
    }
}

impl Host {
    /// Makes the wall clock of this host differ from the real one by so many seconds, for programs that preload the
    /// library.
    pub(crate) fn step_clock(&self, seconds: i64) -> Result<()> {
        let path = self.directory.join("home").join(OFFSET_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        // In place, and all of it at once: it is mapped.
        file.write_all_at(&seconds.to_ne_bytes(), 0).with_context(|| path.display().to_string())?;
        give_to_postgres(&path)
    }
}
