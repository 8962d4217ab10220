//! Compose files: as much of them as ours use. What is not known here is refused, not left out.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A whole file; top-level keys other than `services` are templates and remarks.
#[derive(Debug, Deserialize)]
pub(super) struct ComposeFile {
    pub(super) services: BTreeMap<String, Service>,
}

/// What containers of one kind are made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The name of an image; with `build`, that of the image to be made.
    pub(super) image: Option<String>,
    pub(super) build: Option<Build>,
    pub(super) hostname: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, Scalar>,
    command: Option<CommandLine>,
    healthcheck: Option<Healthcheck>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    /// Containers of one network reach each other at every port.
    #[serde(rename = "expose")]
    _expose: Option<IgnoredAny>,
}

/// Where the image's Dockerfile is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    pub(super) context: String,
    pub(super) dockerfile: String,
}

#[derive(Debug, Deserialize)]
struct Healthcheck {
    test: CommandLine,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    condition: Condition,
}

/// What a service waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Condition {
    ServiceStarted,
    ServiceHealthy,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CommandLine {
    Words(Vec<String>),
    Line(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl ComposeFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(serde_saphyr::from_str(text)?)
    }
}

impl Service {
    /// The variables of its containers.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.environment.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    /// The words of its command, if it has one of its own.
    pub(super) fn command(&self) -> Result<Option<Vec<String>>> {
        self.command.as_ref().map(CommandLine::words).transpose()
    }

    /// The command that succeeds in a healthy container.
    pub(super) fn health_test(&self) -> Result<Option<Vec<String>>> {
        let Some(check) = &self.healthcheck else {
            return Ok(None);
        };
        let CommandLine::Words(words) = &check.test else {
            bail!("a health check that is no list");
        };
        match words.split_first() {
            Some((first, words)) if first == "CMD" => Ok(Some(words.to_vec())),
            _ => bail!("a health check that does not begin with CMD"),
        }
    }

    /// The services it waits for.
    pub(super) fn depends_on(&self) -> impl Iterator<Item = (&str, Condition)> {
        self.depends_on.iter().map(|(service, dependency)| (service.as_str(), dependency.condition))
    }
}

impl CommandLine {
    fn words(&self) -> Result<Vec<String>> {
        match self {
            Self::Words(words) => Ok(words.clone()),
            Self::Line(line) => shlex::split(line).with_context(|| format!("unbalanced quotes: {line}")),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}
