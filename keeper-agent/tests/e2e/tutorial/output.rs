//! What programs print, read as tables and lines.

/// A part of what a program prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Table(Table),
    Line(String),
}

/// Rows below a line of column names and a rule, as `pg_autoctl` and psql print them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Reads output. Empty lines, the lines of logs, and messages that psql has not printed to its standard output do not
/// count.
pub(super) fn read(text: &str) -> Vec<Item> {
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !is_of_log(line)).collect();
    let mut items = Vec::new();
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        if lines.get(next + 1).is_some_and(|below| is_rule(below)) {
            let columns = cells(line);
            let is_row = |line: &&&str| !is_end_of_table(line) && cells(line).len() == columns.len();
            let rows: Vec<Vec<String>> =
                lines[next + 2..].iter().take_while(is_row).map(|line| cells(line)).collect();
            next += 2 + rows.len();
            items.push(Item::Table(Table { columns, rows }));
        } else {
            items.push(Item::Line(line.trim().to_owned()));
            next += 1;
        }
    }
    items
}

impl Table {
    /// The place of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

fn cells(line: &str) -> Vec<String> {
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn is_rule(line: &str) -> bool {
    line.contains("--") && line.chars().all(|c| matches!(c, '-' | '+'))
}

/// `(3 rows)`, or the command tag of the next statement.
fn is_end_of_table(line: &str) -> bool {
    line.starts_with('(') && (line.ends_with(" rows)") || line.ends_with(" row)"))
}

/// `22:58:42 9246 INFO …`
fn is_of_log(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let time = words.next().is_some_and(|word| {
        word.len() == 8
            && word.chars().all(|c| c.is_ascii_digit() || c == ':')
            && word.matches(':').count() == 2
    });
    time && words.next().is_some_and(|word| word.parse::<u32>().is_ok())
}
