//! What the configuration files say of a setting, and where: also of a server that does not run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::postgres::server::{PostgresError, files};

/// What ALTER SYSTEM writes.
pub(crate) const ALTER_SYSTEM_FILE: &str = "postgresql.auto.conf";
const MAIN_FILE: &str = "postgresql.conf";
/// Files that include each other are read this deep, as Postgres does.
const DEPTH_LIMIT: usize = 10;

/// One line that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// In lower case.
    pub(crate) name: String,
    /// Without quotes.
    pub(crate) value: String,
    pub(crate) file: PathBuf,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl Entry {
    /// For people: `"file" line 3`.
    pub(crate) fn place(&self) -> String {
        format!("\"{}\" line {}", self.file.display(), self.line)
    }
}

/// All lines, in the order in which Postgres reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Vec<Entry>);

impl Written {
    /// Reads the files of a cluster. One that is included and cannot be read is left out: Postgres complains about it.
    pub(crate) fn read(pgdata: &Path) -> Result<Self, PostgresError> {
        let mut written = Self::default();
        for name in [MAIN_FILE, ALTER_SYSTEM_FILE] {
            let path = pgdata.join(name);
            if let Some(content) = files::read_if_there(&path)? {
                written.add(&path, &content, 0);
            }
        }
        Ok(written)
    }

    /// The line that counts: the last one.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.name == name)
    }

    /// The last line that others than we have written.
    pub(crate) fn foreign(&self, name: &str, ours: &[PathBuf]) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.name == name && !ours.contains(&entry.file))
    }

    fn add(&mut self, file: &Path, content: &str, depth: usize) {
        for (index, text) in content.lines().enumerate() {
            let Some((name, value)) = parse(text) else {
                continue;
            };
            match name.as_str() {
                "include" | "include_if_exists" => self.include(file, &value, depth),
                "include_dir" => self.include_directory(file, &value, depth),
                _ => self.0.push(Entry { name, value, file: file.to_owned(), line: index + 1 }),
            }
        }
    }

    fn include(&mut self, from: &Path, value: &str, depth: usize) {
        let path = relative_to(from, value);
        if depth < DEPTH_LIMIT
            && let Ok(content) = fs::read_to_string(&path)
        {
            self.add(&path, &content, depth + 1);
        }
    }

    fn include_directory(&mut self, from: &Path, value: &str, depth: usize) {
        let entries = fs::read_dir(relative_to(from, value)).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
            .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
            .collect();
        names.sort();
        for path in names {
            self.include(from, &path.to_string_lossy(), depth);
        }
    }
}

fn relative_to(file: &Path, value: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).join(value)
}

/// `name = value`, where the sign and quotes may be missing; `None` for comments and what is no line of that form.
pub(crate) fn parse(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => unquoted(quoted)?,
        None => rest.split(|c: char| c.is_whitespace() || c == '#').next().unwrap_or_default().to_owned(),
    };
    Some((name.to_ascii_lowercase(), value))
}

/// The content without the lines that set one of these.
pub(crate) fn without(content: &str, is_meant: impl Fn(&str) -> bool) -> String {
    let stays = |line: &&str| !parse(line).is_some_and(|(name, _)| is_meant(&name));
    content.lines().filter(stays).map(|line| format!("{line}\n")).collect()
}

/// What stands before the closing quote.
fn unquoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '\'' => match characters.next() {
                Some('\'') => value.push('\''),
                _ => return Some(value),
            },
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_postgres_does() {
        let read = |line| parse(line).map(|(name, value)| format!("{name}|{value}"));
        assert_eq!(read("max_connections = 100\t# (change)").as_deref(), Some("max_connections|100"));
        assert_eq!(read("Port 5433").as_deref(), Some("port|5433"));
        assert_eq!(read("  a.b='it''s \\\\ here' # x").as_deref(), Some("a.b|it's \\ here"));
        assert_eq!(read("hba_file=").as_deref(), Some("hba_file|"));
        for nothing in ["", "# port = 1", "x = 'open"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_last_line_counts_and_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        };
        write(
            "postgresql.conf",
            "a = 1\ninclude_dir 'conf.d'\ninclude 'other.conf'\ninclude_if_exists 'no'\nb = 1\n",
        );
        write("conf.d/2.conf", "a = 3\n");
        write("conf.d/1.conf", "a = 2\n");
        write("conf.d/.hidden.conf", "a = 9\n");
        write("conf.d/readme", "a = 9\n");
        write("other.conf", "\nc = 5\ninclude 'other.conf'\n");
        write("postgresql.auto.conf", "# by hand\nb = '7'\n");
        let written = Written::read(directory.path()).expect("read");
        let place = |name: &str| {
            let entry = written.get(name).expect("set");
            let file = entry.file.strip_prefix(directory.path()).expect("below");
            format!("{} {} {}", entry.value, file.display(), entry.line)
        };
        assert_eq!(place("a"), "3 conf.d/2.conf 1");
        assert_eq!(place("b"), "7 postgresql.auto.conf 2");
        assert_eq!(place("c"), "5 other.conf 2");
        let ours = [directory.path().join("postgresql.auto.conf")];
        assert_eq!(written.foreign("b", &ours).map(|entry| entry.line), Some(5));
        assert_eq!(written.get("d"), None);
    }
}
