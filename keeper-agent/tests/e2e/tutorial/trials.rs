//! Tests of the tutorial's own parts, in `make e2e`: that a difference is found, and that the stand-in can do what the
//! tutorial needs of it, with a formation without Citus.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use libtest_mimic::{Completion, Failed, Trial};

use super::backend::Compose;
use super::command::{Command, Exec, Up};
use super::compare::compare;
use super::compose_file::{ComposeFile, Condition};
use super::docker::Docker;
use super::document::{Document, Strictness};
use super::player::{self, Count};
use super::stand_in::StandIn;
use crate::harness::unavailable;

/// A test that needs no containers.
type Check = fn() -> Result<()>;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let quick: [(&str, Check); 7] = [
        ("tutorial_differences_that_do_not_count", differences_that_do_not_count),
        ("tutorial_differences_that_count", differences_that_count),
        ("tutorial_goals_of_a_failover", goals_of_a_failover),
        ("tutorial_commands", commands),
        ("tutorial_blocks", blocks),
        ("tutorial_compose_files", compose_files),
        ("tutorial_document_is_playable", document_is_playable),
    ];
    let quick = quick.into_iter().map(|(name, body)| {
        Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}"))))
    });
    let stand_in = Trial::ignorable_test("tutorial_stand_in_plays_two_nodes", || match unavailable() {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => completed(StandIn::new(&pair()).and_then(play_two_nodes)),
    });
    let docker = Trial::ignorable_test("tutorial_docker_plays_two_nodes", || match Docker::find(&pair()) {
        None => Ok(Completion::ignored_with("no Docker daemon answers")),
        Some(docker) => match docker.needs_image() {
            Err(error) => Ok(Completion::ignored_with(format!("{error:#}"))),
            Ok(()) => completed(play_two_nodes(docker)),
        },
    });
    quick.chain([stand_in, docker]).collect()
}

const STATE: &str = "\
    Name |  Node |         Host:Port |       TLI: LSN |   Connection |      Reported State |      Assigned State
---------+-------+-------------------+----------------+--------------+---------------------+--------------------
 coord0a |   0/1 | cd52db444544:5432 |   1: 0/3127AD0 |   read-write |             primary |             primary
worker1a |   1/3 |     worker1a:5432 |   1: 0/311B610 |   read-write |             primary |             primary
worker1b |   1/4 |     worker1b:5432 |   1: 0/311B610 |    read-only |           secondary |           secondary
";

const URI: &str = "\
  Type |    Name | Connection String
-------+---------+------------------
 cit us | default | postgres://66a31034f2e4:5432,worker1a:5432/citus?target_session_attrs=read-write&sslmode=require
";

/// Replaces one text by another in what is shown above, and compares.
fn changed(text: &str, from: &str, to: &str) -> Result<()> {
    ensure!(text.contains(from), "there is no \"{from}\" to be replaced");
    compare(text, &text.replace(from, to), Strictness::Whole)
}

fn differences_that_do_not_count() -> Result<()> {
    for (text, from, to) in [
        (STATE, "3127AD0", "5000060"),
        (STATE, "1: 0/311B610", "2: 0/311B610"),
        (STATE, "1/3", "1/1"),
        (STATE, "cd52db444544", "0123456789ab"),
        (STATE, "   read-write", "read-write"),
        (URI, "66a31034f2e4:5432,worker1a:5432", "worker1a:5432,0123456789ab:5432"),
        (
            URI,
            "target_session_attrs=read-write&sslmode=require",
            "sslmode=require&target_session_attrs=read-write",
        ),
    ] {
        changed(text, from, to)?;
    }
    let mut lines: Vec<&str> = STATE.lines().collect();
    lines.swap(2, 4);
    lines.insert(0, "12:00:00 77 INFO  a line of a log");
    compare(STATE, &lines.join("\n"), Strictness::Whole)?;
    compare(STATE, &STATE.replace("secondary", "catchingup"), Strictness::ColumnsOnly)
}

fn differences_that_count() -> Result<()> {
    for (text, from, to) in [
        (STATE, "secondary", "catchingup"),
        (STATE, "read-only", "read-only !"),
        (STATE, "1/4", "2/4"),
        (STATE, "coord0a", "coord0b"),
        (STATE, "worker1a:5432", "worker1a:5433"),
        (STATE, "Connection", "Link"),
        (STATE, "worker1b |", "worker1a |"),
        (URI, "sslmode=require", "sslmode=prefer"),
        (URI, "worker1a", "worker1b"),
        (" count\n-------\n    75\n(1 row)\n", "75", "74"),
        (" count\n-------\n    75\n(1 row)\n", "(1 row)", "(2 rows)"),
        ("COPY 75\n", "75", "74"),
        ("COPY 75\n", "COPY 75\n", ""),
    ] {
        ensure!(changed(text, from, to).is_err(), "\"{to}\" was taken for \"{from}\"");
    }
    let without_a_row: Vec<&str> = STATE.lines().take(4).collect();
    ensure!(compare(STATE, &without_a_row.join("\n"), Strictness::Whole).is_err(), "a lacking row");
    let with_a_row = STATE.to_owned() + STATE.lines().last().unwrap_or_default();
    ensure!(compare(STATE, &with_a_row, Strictness::Whole).is_err(), "a row too many");
    let other_columns = STATE.replace("Connection", "Link");
    ensure!(compare(STATE, &other_columns, Strictness::ColumnsOnly).is_err(), "another column");
    Ok(())
}

/// A row for each pair of a node's state and goal.
fn notifications(rows: &[(&str, &str, &str)]) -> String {
    let header = "Time | Name | Current State | Assigned State\n-----+------+------+------\n";
    let row = |(name, state, goal): &(&str, &str, &str)| format!("10:00:00 | {name} | {state} | {goal}\n");
    header.to_owned() + &rows.iter().map(row).collect::<String>()
}

fn goals_of_a_failover() -> Result<()> {
    let shown = [
        ("a", "primary", "draining"),
        ("b", "secondary", "prepare_promotion"),
        ("a", "draining", "demoted"),
        ("b", "prepare_promotion", "wait_primary"),
        ("b", "primary", "primary"),
        ("a", "demoted", "catchingup"),
    ];
    // The same goals and ends, with other reports between them, and the nodes in another order.
    let same =
        [shown[1], shown[3], ("b", "wait_primary", "wait_primary"), shown[4], shown[0], shown[2], shown[5]];
    compare(&notifications(&shown), &notifications(&same), Strictness::Whole)?;
    for lacking in 0..shown.len() {
        let mut rows = shown.to_vec();
        rows.remove(lacking);
        let compared = compare(&notifications(&shown), &notifications(&rows), Strictness::Whole);
        ensure!(compared.is_err(), "row {lacking} was not missed");
    }
    Ok(())
}

fn commands() -> Result<()> {
    let parsed = Command::parse("docker compose up --scale coord=2 --scale worker=6")?;
    let scale = vec![("coord".to_owned(), 2), ("worker".to_owned(), 6)];
    ensure!(parsed == Command::Up(Up { file: "docker-compose.yml".to_owned(), scale }), "{parsed:?}");
    let exec = |line: &str| -> Result<Exec> {
        match Command::parse(line)? {
            Command::Exec(exec) => Ok(exec),
            other => bail!("{other:?}"),
        }
    };
    let query = exec("docker compose exec --index 2 coord psql -c 'select 1;'")?;
    ensure!(query.index == 2 && query.service == "coord" && query.arguments[2] == "select 1;", "{query:?}");
    ensure!(query.is_question(), "a query is a question");
    let stop = exec("docker compose exec a /usr/lib/postgresql/15/bin/pg_ctl stop")?;
    ensure!(!stop.is_question(), "to stop is no question");
    ensure!(stop.for_major("17").arguments[0] == "/usr/lib/postgresql/17/bin/pg_ctl", "{stop:?}");
    for refused in [
        "ls",
        "docker compose up -d",
        "docker compose exec -u root a id",
        "docker compose exec a",
        "docker ps",
    ] {
        ensure!(Command::parse(refused).is_err(), "{refused} was taken");
    }
    Ok(())
}

fn blocks() -> Result<()> {
    let text = "## A\n```sh\nls\n```\n```console\n# why\n$ docker compose down\none\n\ntwo\n```\n\
                <!-- columns only -->\n```console\n$ docker compose exec a psql\n```\n```sql\nselect 1;\n```\n\
                ```text\n 1\n```\n## B\nNothing to play.\n";
    let document = Document::parse(text)?;
    ensure!(document.parts.len() == 1 && document.parts[0].examples.len() == 2, "{document:?}");
    let [down, psql] = document.parts[0].examples.as_slice() else { bail!("{document:?}") };
    ensure!(down.expected == "one\ntwo\n" && down.strictness == Strictness::Whole, "{down:?}");
    ensure!(psql.input == "select 1;\n" && psql.expected == " 1\n", "{psql:?}");
    ensure!(psql.strictness == Strictness::ColumnsOnly, "{psql:?}");
    ensure!(
        Document::parse("## A\n```console\n$ ls\n```\n").is_err(),
        "a command that cannot be played was taken"
    );
    Ok(())
}

fn compose_files() -> Result<()> {
    let directory = super::repository().join("docker");
    let named = ComposeFile::read(&directory, "docker-compose.yml")?;
    let worker = &named.services["worker2a"];
    ensure!(worker.hostname.as_deref() == Some("worker2a"), "{worker:?}");
    ensure!(worker.depends_on().eq([("worker2b", Condition::ServiceHealthy)]), "{worker:?}");
    let command = worker.command()?.unwrap_or_default().join(" ");
    ensure!(command == "pg_autoctl create worker --group 2 --name worker2a --run", "{command}");
    let lan = ("PG_AUTOCTL_HBA_LAN".to_owned(), "true".to_owned());
    ensure!(worker.environment().contains(&lan), "{worker:?}");
    ensure!(worker.health_test()?.is_some(), "{worker:?}");
    let unknown = "services: { a: { image: b, privileged: true } }";
    ensure!(ComposeFile::parse(unknown).is_err(), "a key that the stand-in does not know was left out");
    Ok(())
}

/// Every service of the document is in the compose file that is used there.
fn document_is_playable() -> Result<()> {
    let document = Document::read(&super::repository().join("docs/tutorial.md"))?;
    let directory = super::repository().join("docker");
    for part in &document.parts {
        let mut file = "docker-compose.yml".to_owned();
        for example in &part.examples {
            match &example.command {
                Command::UseFile(named) => file.clone_from(named),
                Command::Exec(exec) => {
                    let services = ComposeFile::read(&directory, &file)?.services;
                    ensure!(services.contains_key(&exec.service), "line {}: no such service", example.line);
                }
                Command::Up(_) | Command::Down => {}
            }
        }
        let commands = part.examples.iter().map(|example| &example.command);
        let last = commands.rev().find(|command| !matches!(command, Command::UseFile(_)));
        ensure!(last == Some(&Command::Down), "{} leaves containers behind", part.name);
    }
    Ok(())
}

fn completed(result: Result<()>) -> Result<Completion, Failed> {
    result.map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}")))
}

/// Where the formation without Citus is.
fn pair() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/tutorial/pair")
}

fn play_two_nodes(mut compose: impl Compose) -> Result<()> {
    let document = Document::read(&pair().join("pair.md"))?;
    let mut count = Count::default();
    for part in &document.parts {
        player::play(part, &mut compose, &mut count);
    }
    ensure!(count.failed == 0 && count.passed > 0, "{count:?}");
    Ok(())
}
