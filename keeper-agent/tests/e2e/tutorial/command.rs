//! The commands that the document may contain.

use anyhow::{Context, Result, bail, ensure};

/// The file that `docker compose` reads when COMPOSE_FILE is not set.
const DEFAULT_FILE: &str = "docker-compose.yml";
/// Where the document says that Postgres's programs are; whatever the major version, the installed one is meant.
const PROGRAMS: &str = "/usr/lib/postgresql/15/";

/// A line of a console block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `export COMPOSE_FILE=…`, `unset COMPOSE_FILE`
    UseFile(String),
    /// `docker compose up`
    Up(Up),
    /// `docker compose exec`
    Exec(Exec),
    /// `docker compose down`
    Down,
}

/// The services to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Up {
    /// The compose files, with a colon between them; filled in by the player.
    pub(super) file: String,
    /// `--scale SERVICE=COUNT`
    pub(super) scale: Vec<(String, usize)>,
}

/// A command in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exec {
    /// `--index`, from 1 on.
    pub(super) index: usize,
    pub(super) service: String,
    pub(super) arguments: Vec<String>,
}

impl Command {
    /// Reads a line without its `$ `.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let words = shlex::split(line).with_context(|| format!("unbalanced quotes: {line}"))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["export", setting] => {
                let file = setting.strip_prefix("COMPOSE_FILE=");
                Ok(Self::UseFile(file.with_context(|| format!("cannot play: {line}"))?.to_owned()))
            }
            ["unset", "COMPOSE_FILE"] => Ok(Self::UseFile(DEFAULT_FILE.to_owned())),
            ["docker", "compose", "up", options @ ..] => Ok(Self::Up(Up::parse(options)?)),
            ["docker", "compose", "exec", arguments @ ..] => Ok(Self::Exec(Exec::parse(arguments)?)),
            ["docker", "compose", "down"] => Ok(Self::Down),
            _ => bail!("cannot play: {line}"),
        }
    }
}

impl Up {
    fn parse(options: &[&str]) -> Result<Self> {
        let mut scale = Vec::new();
        for pair in options.chunks(2) {
            let ["--scale", setting] = pair else {
                bail!("`docker compose up` is played with --scale only, not with {}", pair.join(" "));
            };
            let (service, count) = setting.split_once('=').context("--scale SERVICE=COUNT")?;
            scale.push((service.to_owned(), count.parse()?));
        }
        Ok(Self { file: DEFAULT_FILE.to_owned(), scale })
    }
}

impl Exec {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let (index, rest) = match arguments {
            ["--index", index, rest @ ..] => (index.parse()?, rest),
            rest => (1, rest),
        };
        let [service, arguments @ ..] = rest else {
            bail!("`docker compose exec` needs a service");
        };
        ensure!(!service.starts_with('-'), "`docker compose exec` is played with --index only");
        ensure!(!arguments.is_empty(), "`docker compose exec` needs a command");
        Ok(Self {
            index,
            service: (*service).to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        })
    }

    /// Whether it changes nothing, so that one may ask again until the answer is what it should become.
    pub(super) fn is_question(&self) -> bool {
        match self.arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["pg_autoctl", "show", ..] => true,
            ["psql", .., "-c", sql] => sql.starts_with("select "),
            _ => false,
        }
    }

    /// The same with the programs of the major version that is installed.
    pub(super) fn for_major(&self, major: &str) -> Self {
        let installed = format!("/usr/lib/postgresql/{major}/");
        let arguments = self.arguments.iter().map(|argument| argument.replace(PROGRAMS, &installed));
        Self { arguments: arguments.collect(), ..self.clone() }
    }
}
