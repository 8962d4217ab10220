//! Clusters that are made: their locale, their memory, who may connect locally.

use anyhow::{Result, ensure};

use crate::bed::{Bed, WITHIN};
use crate::case::cases;
use crate::harness::wait_for;

cases! {
    0:
        the_locale_is_that_of_the_environment,
        initdb_is_given_options,
        memory_is_that_of_the_machine_unless_set,
        another_superuser_with_passwords,
        pg_hba_conf_is_left_to_its_owner;
}

fn the_locale_is_that_of_the_environment(bed: &mut Bed) -> Result<()> {
    let locales = [("LC_ALL", ""), ("LANG", "C.UTF-8"), ("LC_COLLATE", "POSIX")];
    let n1 = bed.prepare("n1")?;
    for (name, value) in locales {
        n1.set_environment(name, value);
    }
    bed.create("n1", &[])?;
    bed.wait(&[("n1", "single")])?;
    let row = "select datcollate, datctype, pg_encoding_to_char(encoding) from pg_database where datname = 'postgres'";
    let seen = bed.node("n1").sql(row)?;
    ensure!(seen == "POSIX|C.UTF-8|UTF8" || seen == "C|C.UTF-8|UTF8", "{seen}");
    ensure!(bed.node("n1").setting("lc_messages")? == "C", "messages are for people who search");
    Ok(())
}

fn initdb_is_given_options(bed: &mut Bed) -> Result<()> {
    bed.add("n1", &["--initdb-options", "--data-checksums --wal-segsize=4"])?;
    bed.wait(&[("n1", "single")])?;
    let n1 = bed.node("n1");
    ensure!(n1.setting("data_checksums")? == "on", "without checksums");
    ensure!(n1.setting("wal_segment_size")? == "4MB", "with other segments");
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    bed.prepare("n3")?;
    let args = bed.create_args("n3", &["--initdb-options", "-D /tmp/elsewhere"]);
    let ended = bed.node("n3").program("pg_autoctl", &args)?;
    bed.nodes.pop();
    ensure!(
        ended.code() == 1 && ended.stderr.contains("give --pgdata"),
        "{}: {}",
        ended.code(),
        ended.stderr
    );
    Ok(())
}

fn memory_is_that_of_the_machine_unless_set(bed: &mut Bed) -> Result<()> {
    bed.add("n1", &[])?;
    bed.wait(&[("n1", "single")])?;
    let n1 = bed.node("n1");
    let file = "select sourcefile from pg_settings where name = ";
    for name in ["shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "max_wal_size"]
    {
        let source = n1.sql(&format!("{file} '{name}'"))?;
        ensure!(source.ends_with("postgresql-auto-failover-fresh.conf"), "{name} is from \"{source}\"");
    }
    n1.sql("select count(*) from pg_stat_statements")?;
    n1.append_to_configuration("shared_buffers = '20MB'\nwork_mem = '3MB'")?;
    bed.add("n2", &[])?;
    bed.wait_whole()?;
    ensure!(bed.node("n2").setting("shared_buffers")? == "20MB", "what is in postgresql.conf counts");
    ensure!(
        bed.node("n2").setting("maintenance_work_mem")? == bed.node("n1").setting("maintenance_work_mem")?
    );
    // The cluster of before is left as it is.
    let main = std::fs::read_to_string(bed.node("n2").pgdata().join("postgresql.conf"))?;
    ensure!(main.matches("postgresql-auto-failover-fresh.conf").count() == 1, "{main}");
    Ok(())
}

fn another_superuser_with_passwords(bed: &mut Bed) -> Result<()> {
    bed.prepare("n1")?.superuser = "dba".to_owned();
    bed.create("n1", &["--username", "dba", "--auth", "scram-sha-256"])?;
    bed.wait(&[("n1", "single")])?;
    let n1 = bed.node("n1");
    n1.sql("create role other superuser login password 'right'; create role dbb superuser login")?;
    for role in ["dba", "other", "dbb"] {
        let said = n1.psql_of("nobody", role, &[]).err();
        ensure!(said.is_some(), "nobody is {role} without a password");
    }
    n1.psql_of("nobody", "other", &[("PGPASSWORD", "right")])?;
    ensure!(n1.psql_of("nobody", "other", &[("PGPASSWORD", "wrong")]).is_err(), "any password is right");
    // The keeper's own way in holds over a restart of both, behind the gate and after it.
    bed.node_mut("n1").kill_both()?;
    bed.node_mut("n1").run()?;
    wait_for("n1 to serve again", WITHIN, || bed.node("n1").sql("select 1").map(Some))?;
    bed.wait(&[("n1", "single")])?;
    ensure!(bed.node("n1").psql_of("nobody", "dba", &[]).is_err(), "nobody is dba after a restart");
    Ok(())
}

fn pg_hba_conf_is_left_to_its_owner(bed: &mut Bed) -> Result<()> {
    bed.prepare("n1")?.superuser = "dba".to_owned();
    bed.create("n1", &["--username", "dba", "--auth", "scram-sha-256", "--skip-pg-hba"])?;
    bed.wait(&[("n1", "single")])?;
    ensure!(bed.node("n1").psql_of("nobody", "dba", &[]).is_err(), "nobody is dba without a password");
    bed.node("n1").sql("select 1").map(drop)
}
