//! Where pg_autoctl runs: users without an entry, poor environments, directories of all sorts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nix::libc;

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::workload::TABLE_DDL;
use crate::harness::{SmallDisk, give_to_postgres, wait_for};
use crate::node::Node;

cases! {
    0:
        a_random_user_with_an_entry_of_nss_wrapper,
        a_random_user_without_an_entry,
        a_container_that_forbids_descriptors_of_processes,
        an_environment_without_home_and_user,
        a_umask_that_gives_nothing_to_others,
        a_umask_that_gives_everything_to_others,
        a_pgdata_with_odd_characters,
        a_pgdata_that_is_a_symbolic_link,
        a_pgdata_that_is_relative_and_ends_in_a_slash,
        a_pgdata_that_is_a_mount_point_in_a_directory_of_others,
        a_pg_wal_elsewhere_and_tablespaces_stay_where_they_are;
}

/// As a platform for containers gives them: in no file of the system, in the group of root.
const RANDOM_USER: u32 = 1_000_650_000;
const WRAPPERS: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/libnss_wrapper.so", "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so"];

/// Two nodes that are set up like this from the start, a failover, and both are whole again.
fn play(bed: &mut Bed, set_up: fn(&mut Node) -> Result<()>) -> Result<()> {
    bed.without_monitor()?;
    set_up(&mut bed.monitor)?;
    bed.start_monitor(&[])?;
    for name in ["n1", "n2"] {
        set_up(bed.prepare(name)?)?;
        create(bed, name, &[])?;
    }
    bed.wait_whole()?;
    bed.fail_over()
}

/// Creates a node that was prepared; the first one has the table of writers.
fn create(bed: &mut Bed, name: &str, options: &[&str]) -> Result<()> {
    bed.create(name, options)?;
    if name == "n1" {
        bed.wait(&[("n1", "single")])?;
        bed.node("n1").sql(TABLE_DDL)?;
    }
    Ok(())
}

fn give_to_random_user(node: &mut Node) -> Result<()> {
    node.user = Some((RANDOM_USER, 0));
    node.give_to_user()
}

fn a_random_user_with_an_entry_of_nss_wrapper(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        give_to_random_user(node)?;
        let wrapper = WRAPPERS.iter().find(|path| Path::new(path).exists());
        let wrapper = wrapper.context("libnss-wrapper is not installed")?;
        let home = node.directory.join("home");
        let (passwd, group) = (home.join("passwd"), home.join("group"));
        fs::write(&passwd, format!("postgres:x:{RANDOM_USER}:0:Postgres:{}:/bin/sh\n", home.display()))?;
        fs::write(&group, "root:x:0:\n")?;
        node.set_environment("LD_PRELOAD", wrapper);
        node.set_environment("NSS_WRAPPER_PASSWD", &passwd.display().to_string());
        node.set_environment("NSS_WRAPPER_GROUP", &group.display().to_string());
        Ok(())
    })
}

fn a_random_user_without_an_entry(bed: &mut Bed) -> Result<()> {
    give_to_random_user(bed.prepare("n1")?)?;
    let args = bed.create_args("n1", &[]);
    let refused = bed.node("n1").program("pg_autoctl", &args)?;
    ensure!(!refused.status.success(), "it was created");
    let said = refused.stderr;
    ensure!(said.contains(&RANDOM_USER.to_string()), "the user is not named: {said}");
    ensure!(!bed.node("n1").pgdata().join("PG_VERSION").exists(), "a cluster was left: {said}");
    ensure!(bed.rows()?.is_empty(), "it was registered: {said}");
    Ok(())
}

fn a_container_that_forbids_descriptors_of_processes(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        node.denied = vec![libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal];
        node.denied_with = libc::EPERM;
        Ok(())
    })
}

fn an_environment_without_home_and_user(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        node.removed =
            vec!["HOME", "USER", "LOGNAME", "LC_ALL", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
        // The home of its owner, as the system knows it.
        let home = nix::unistd::User::from_name("postgres")?.context("no user postgres")?.dir;
        node.mounts = vec![(node.directory.join("home"), home)];
        node.read_only = vec![PathBuf::from("/proc/sys"), PathBuf::from("/etc")];
        Ok(())
    })
}

fn a_umask_that_gives_nothing_to_others(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        node.umask = Some(0o077);
        Ok(())
    })?;
    check_private(bed)
}

fn a_umask_that_gives_everything_to_others(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        node.umask = Some(0);
        Ok(())
    })?;
    check_private(bed)
}

/// Nobody else reads the data or what the keeper keeps; nobody else writes anything.
fn check_private(bed: &Bed) -> Result<()> {
    for name in ["n1", "n2"] {
        let node = bed.node(name);
        let open = node.shell("find \"$PGDATA\" home ! -type l -perm /022")?;
        ensure!(open.is_empty(), "others can write to {open}");
        let open = node.shell("find \"$PGDATA\" -maxdepth 1 ! -type l -perm /077 -name '*.conf'")?;
        ensure!(open.is_empty(), "others can read {open}");
        let mode = fs::metadata(node.pgdata())?.permissions().mode() & 0o777;
        ensure!(mode == 0o700, "PGDATA has mode {mode:o}");
    }
    Ok(())
}

fn a_pgdata_with_odd_characters(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        let path = node.directory.join("it's \"the\" 100% data of $HOME \\ é");
        node.data = Some(path.display().to_string());
        Ok(())
    })
}

fn a_pgdata_that_is_a_symbolic_link(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        let elsewhere = node.directory.join("elsewhere");
        fs::create_dir(&elsewhere)?;
        give_to_postgres(&elsewhere)?;
        Ok(symlink(&elsewhere, node.directory.join("data"))?)
    })?;
    for name in ["n1", "n2"] {
        let node = bed.node(name);
        ensure!(node.pgdata().is_symlink(), "PGDATA of {name} is no symbolic link any more");
        ensure!(node.directory.join("elsewhere/PG_VERSION").exists(), "{name} has its data elsewhere");
        let shown = node.program(
            "pg_autoctl",
            &["status", "--pgdata", &node.directory.join("data/").display().to_string()],
        )?;
        ensure!(shown.status.success(), "{}", shown.stderr);
    }
    copy_again(bed, "n1")?;
    ensure!(bed.node("n1").pgdata().is_symlink(), "PGDATA of n1 is no symbolic link after a new copy");
    Ok(())
}

/// The data of a standby is lost; it is copied anew.
fn copy_again(bed: &mut Bed, name: &str) -> Result<()> {
    let copies = |bed: &Bed| -> Result<usize> {
        let said = bed.node(name).said()?;
        Ok(said
            .lines()
            .filter(|line| line.contains("done after") && line.contains("base backup from"))
            .count())
    };
    let before = copies(bed)?;
    bed.node_mut(name).kill_both()?;
    fs::remove_file(bed.node(name).pgdata().join("global/pg_control"))?;
    bed.node_mut(name).run()?;
    wait_for("a new copy", WITHIN, || Ok((copies(bed)? > before).then_some(())))?;
    bed.wait_whole()
}

fn a_pgdata_that_is_relative_and_ends_in_a_slash(bed: &mut Bed) -> Result<()> {
    play(bed, |node| {
        node.data = Some("sub/../data/".to_owned());
        fs::create_dir(node.directory.join("sub"))?;
        Ok(())
    })?;
    // Whichever way it is written, it is the same node.
    let node = bed.node("n1");
    let absolute = node.directory.join("data").display().to_string();
    let shown = node.program("pg_autoctl", &["status", "--pgdata", &absolute])?;
    ensure!(shown.status.success(), "{}", shown.stderr);
    Ok(())
}

fn a_pgdata_that_is_a_mount_point_in_a_directory_of_others(bed: &mut Bed) -> Result<()> {
    let mut disks = Vec::new();
    for name in ["n1", "n2"] {
        let node = bed.prepare(name)?;
        let parent = node.directory.join("mnt");
        fs::create_dir(&parent)?;
        let data = parent.join("data");
        disks.push(SmallDisk::mount(&data, 400)?);
        let lost = data.join("lost+found");
        fs::create_dir(&lost)?;
        fs::set_permissions(&lost, Permissions::from_mode(0o700))?;
        // Postgres reads it, too: another node could not be copied from here.
        give_to_postgres(&lost)?;
        node.data = Some(data.display().to_string());
        create(bed, name, &[])?;
    }
    bed.wait_whole()?;
    bed.fail_over()?;
    copy_again(bed, "n1")?;
    for name in ["n1", "n2"] {
        ensure!(bed.node(name).pgdata().join("lost+found").is_dir(), "lost+found of {name} is gone");
    }
    for name in ["n1", "n2"] {
        bed.node_mut(name).stop()?;
    }
    drop(disks);
    Ok(())
}

fn a_pg_wal_elsewhere_and_tablespaces_stay_where_they_are(bed: &mut Bed) -> Result<()> {
    // Every node has its own directory there.
    let space = bed.directory.join("space");
    fs::create_dir(&space)?;
    for name in ["n1", "n2"] {
        let node = bed.prepare(name)?;
        let own = node.directory.join("s/space");
        fs::create_dir(&own)?;
        give_to_postgres(&own)?;
        node.mounts = vec![(own, space.clone())];
        let wal = node.directory.join("s/wal").display().to_string();
        create(bed, name, &["--initdb-options", &format!("--waldir={wal}")])?;
        if name == "n1" {
            bed.node("n1").sql(&format!("create tablespace space location '{}'", space.display()))?;
            bed.node("n1").sql("create table in_space tablespace space as select 1 as value")?;
        }
    }
    bed.wait_whole()?;
    let link = |bed: &Bed| fs::read_link(bed.node("n1").pgdata().join("pg_wal"));
    ensure!(link(bed)?.ends_with("s/wal"), "pg_wal of n1 is not where it was to be");
    bed.fail_over()?;
    ensure!(link(bed)?.ends_with("s/wal"), "pg_wal of n1 is elsewhere after a rewind");
    copy_again(bed, "n1")?;
    ensure!(link(bed)?.ends_with("s/wal"), "pg_wal of n1 is elsewhere after a new copy");
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_whole()?;
    let value = bed.node("n1").sql("select value from in_space")?;
    ensure!(value == "1", "n1 has {value:?}");
    let files = bed.node("n1").shell("find s/space -type f | wc -l")?;
    ensure!(files.trim() != "0", "the tablespace of n1 is elsewhere");
    Ok(())
}
