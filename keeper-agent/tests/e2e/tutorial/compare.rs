//! When what a program prints is what the document shows.
//!
//! - Tables are compared by the names of their columns; the order of rows does not count.
//! - Not compared: times, LSNs and timelines. Of `Node` (group/node id) the group is compared. A host name of twelve
//!   hexadecimal digits is any container's. In a connection string the order of hosts and of parameters does not count.
//! - A table of notifications (with a column `Current State`) must have, for each node, the same goals one after the
//!   other, and end in the same state: which reports are seen in between is chance.
//! - Everything else is compared as it is: names, states, connections, numbers of rows.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::document::Strictness;
use super::output::{Item, Table, read};

/// Columns whose values are not compared.
const IGNORED_COLUMNS: [&str; 2] = ["TLI: LSN", "Time"];
/// The length of the host name of a container that was given none.
const CONTAINER_NAME_LENGTH: usize = 12;

/// Compares, and says what is different.
pub(super) fn compare(expected: &str, printed: &str, strictness: Strictness) -> Result<()> {
    let (expected, printed) = (read(expected), read(printed));
    ensure!(expected.len() == printed.len(), "other tables or lines than in the document");
    for pair in expected.iter().zip(&printed) {
        match pair {
            (Item::Table(expected), Item::Table(printed)) => compare_tables(expected, printed, strictness)?,
            (Item::Line(expected), Item::Line(printed)) => {
                ensure!(plain(expected) == plain(printed), "\"{printed}\" is not \"{expected}\"");
            }
            _ => bail!("a table in place of a line, or a line in place of a table"),
        }
    }
    Ok(())
}

fn compare_tables(expected: &Table, printed: &Table, strictness: Strictness) -> Result<()> {
    ensure!(
        expected.columns == printed.columns,
        "the columns are {}, not {}",
        printed.columns.join(", "),
        expected.columns.join(", ")
    );
    if strictness == Strictness::ColumnsOnly {
        return Ok(());
    }
    if let Some(state) = expected.column("Current State") {
        return compare_notifications(expected, printed, state);
    }
    let (expected, printed) = (rows(expected), rows(printed));
    let lacking: Vec<String> =
        without(&expected, &printed).into_iter().map(|row| format!("lacks: {row}")).collect();
    let surplus = without(&printed, &expected).into_iter().map(|row| format!("has:   {row}"));
    let differences: Vec<String> = lacking.into_iter().chain(surplus).collect();
    ensure!(differences.is_empty(), "the table\n{}", differences.join("\n"));
    Ok(())
}

/// The rows as they are compared, in some order.
fn rows(table: &Table) -> Vec<String> {
    let row = |row: &Vec<String>| {
        let cells =
            table.columns.iter().zip(row).filter(|(column, _)| !IGNORED_COLUMNS.contains(&column.as_str()));
        let cells = cells.map(|(column, cell)| if column == "Node" { group(cell) } else { plain(cell) });
        cells.collect::<Vec<_>>().join(" | ")
    };
    let mut rows: Vec<String> = table.rows.iter().map(row).collect();
    rows.sort();
    rows
}

/// What is in the first list more often than in the second.
fn without(rows: &[String], others: &[String]) -> Vec<String> {
    let mut left = others.to_vec();
    let mut found = Vec::new();
    for row in rows {
        match left.iter().position(|other| other == row) {
            Some(place) => drop(left.remove(place)),
            None => found.push(row.clone()),
        }
    }
    found
}

fn compare_notifications(expected: &Table, printed: &Table, state: usize) -> Result<()> {
    let (Some(name), Some(goal)) = (expected.column("Name"), expected.column("Assigned State")) else {
        bail!("a table of notifications without Name or Assigned State");
    };
    let expected = paths(expected, name, state, goal);
    let printed = paths(printed, name, state, goal);
    ensure!(
        expected == printed,
        "the goals of the nodes, and where they end\nare:      {printed:?}\nexpected: {expected:?}"
    );
    Ok(())
}

/// For each node its goals in their order, and the state that it has told last.
fn paths(table: &Table, name: usize, state: usize, goal: usize) -> BTreeMap<String, (Vec<String>, String)> {
    let mut paths: BTreeMap<String, (Vec<String>, String)> = BTreeMap::new();
    for row in &table.rows {
        let (goals, last) = paths.entry(row[name].clone()).or_default();
        if goals.last() != Some(&row[goal]) {
            goals.push(row[goal].clone());
        }
        row[state].clone_into(last);
    }
    paths
}

/// The group in `group/node id`.
fn group(cell: &str) -> String {
    cell.split('/').next().unwrap_or_default().to_owned()
}

/// A value without what is different each time.
fn plain(cell: &str) -> String {
    cell.split(' ').map(plain_word).collect::<Vec<_>>().join(" ")
}

fn plain_word(word: &str) -> String {
    match word.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", plain_uri(rest)),
        None => plain_host(word),
    }
}

/// `user@host:port,host:port/dbname?name=value&name=value`
fn plain_uri(rest: &str) -> String {
    let (address, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, dbname) = address.split_once('/').unwrap_or((address, ""));
    let (user, hosts) = hosts.split_once('@').unwrap_or(("", hosts));
    format!(
        "{user}@{}/{dbname}?{}",
        in_order(hosts, ',', plain_host),
        in_order(parameters, '&', str::to_owned)
    )
}

fn in_order(list: &str, separator: char, plain: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<String> = list.split(separator).map(plain).collect();
    parts.sort();
    parts.join(&separator.to_string())
}

/// `host` or `host:port`
fn plain_host(word: &str) -> String {
    let host = word.split(':').next().unwrap_or_default();
    let is_container =
        host.len() == CONTAINER_NAME_LENGTH && host.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if is_container { word.replacen(host, "<container>", 1) } else { word.to_owned() }
}
