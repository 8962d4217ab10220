//! Copies and rewinds that are slow, silent, stopped or killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::{Installed, wait_for};

cases! {
    1:
        a_copy_that_is_slow_and_silent_goes_on,
        a_copy_that_makes_no_progress_is_begun_again;
    2:
        a_rewind_that_is_slow_and_silent_goes_on,
        a_rewind_that_makes_no_progress_is_followed_by_a_copy;
}

/// How long a program may make no progress in these cases.
const IDLE_SECONDS: &str = "6";

/// Has a node run a script of the shell in the place of a program of Postgres. `$real` is that program; what a script
/// puts below `$notes` is there for the test and for the next run of the script.
fn replace_program(bed: &mut Bed, node: &str, program: &str, script: &str) -> Result<PathBuf> {
    let real = Installed::find()?.bin.join(program);
    let place = bed.tools.bin.join(program);
    let node = bed.node_mut(node);
    let notes = node.directory.join("home");
    let path = node.directory.join(program);
    let head = format!("#!/bin/sh\nset -eu\nreal='{}'\nnotes='{}'\n", real.display(), notes.display());
    fs::write(&path, format!("{head}{script}\n"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    node.mounts.push((path, place));
    node.set_environment("PGAF_TEST_IDLE_SECONDS", IDLE_SECONDS);
    Ok(notes)
}

/// Twice as long as nothing may happen, and not a word.
const SLOW_COPY: &str = "exec \"$real\" \"$@\" --max-rate=2M > \"$notes/said\" 2>&1";

/// The first copy stops in the middle of it.
const STOPPED_COPY: &str = "
if [ -e \"$notes/stopped\" ]; then exec \"$real\" \"$@\"; fi
(
    until [ -n \"$(find \"$notes/..\" -path '*/base/1' -type d)\" ]; do
        kill -0 $$ || exit 0
        sleep 0.1
    done
    kill -STOP $$ && touch \"$notes/stopped\"
) > /dev/null 2>&1 &
exec \"$real\" \"$@\" --max-rate=1M";

fn a_copy_that_is_slow_and_silent_goes_on(bed: &mut Bed) -> Result<()> {
    bed.prepare("n2")?;
    replace_program(bed, "n2", "pg_basebackup", SLOW_COPY)?;
    bed.create("n2", &[])?;
    bed.wait_whole()?;
    let said = bed.node("n2").said()?;
    ensure!(!said.contains("got no answer") && !said.contains("no progress"), "it was given up: {said}");
    Ok(())
}

fn a_copy_that_makes_no_progress_is_begun_again(bed: &mut Bed) -> Result<()> {
    bed.prepare("n2")?;
    let notes = replace_program(bed, "n2", "pg_basebackup", STOPPED_COPY)?;
    bed.create("n2", &[])?;
    wait_for("the copy to stop", WITHIN, || Ok(notes.join("stopped").exists().then_some(())))?;
    bed.node("n2").wait_said("pg_basebackup made no progress", WITHIN)?;
    bed.wait_whole()?;
    bed.node("n1").sql("create table after_the_copy ()")?;
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")
}

/// It reads all the time, and says nothing.
const SLOW_REWIND: &str = "
touch \"$notes/begun\"
for i in 1 2 3 4 5 6 7 8 9 10; do dd if=/dev/zero of=\"$notes/work\" bs=64k count=4 conv=fsync 2>/dev/null; sleep 1; done
exec \"$real\" \"$@\" > \"$notes/said\" 2>&1";

/// It has written when it stops.
const STOPPED_REWIND: &str = "
touch \"$notes/begun\"
\"$real\" \"$@\"
kill -STOP $$";

/// The primary is lost with a log that the other does not have, and has to be rewound.
fn lose_primary(bed: &mut Bed) -> Result<()> {
    bed.node_mut("n1").kill_both()?;
    bed.wait_primary("n2")?;
    bed.node("n2").sql("create table after_the_loss ()").map(drop)
}

fn a_rewind_that_is_slow_and_silent_goes_on(bed: &mut Bed) -> Result<()> {
    let notes = replace_program(bed, "n1", "pg_rewind", SLOW_REWIND)?;
    lose_primary(bed)?;
    bed.node_mut("n1").run()?;
    bed.wait_whole()?;
    ensure!(notes.join("begun").exists(), "there was no rewind");
    let said = bed.node("n1").said()?;
    ensure!(!said.contains("base backup from"), "it was copied instead: {said}");
    Ok(())
}

fn a_rewind_that_makes_no_progress_is_followed_by_a_copy(bed: &mut Bed) -> Result<()> {
    let notes = replace_program(bed, "n1", "pg_rewind", STOPPED_REWIND)?;
    lose_primary(bed)?;
    bed.node_mut("n1").run()?;
    bed.node("n1").wait_said("pg_rewind made no progress", WITHIN)?;
    ensure!(notes.join("begun").exists(), "there was no rewind");
    bed.node("n1").wait_said("base backup from", WITHIN)?;
    bed.wait_whole()
}
