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
    /// `name:path` each.
    #[serde(default)]
    pub(super) volumes: Vec<String>,
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
    /// How our own image is built; the stand-in has that already.
    #[serde(rename = "target")]
    _target: Option<IgnoredAny>,
    #[serde(rename = "args")]
    _args: Option<IgnoredAny>,
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
    /// Reads the files in a directory that COMPOSE_FILE names, with a colon between them: what a later one says of a
    /// service is added, or takes the place of what an earlier one says.
    pub(super) fn read(directory: &Path, files: &str) -> Result<Self> {
        let mut whole = Self { services: BTreeMap::new() };
        for file in files.split(':') {
            let path = directory.join(file);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for (name, service) in Self::parse(&text).with_context(|| path.display().to_string())?.services {
                match whole.services.get_mut(&name) {
                    Some(earlier) => earlier.merge(service),
                    None => drop(whole.services.insert(name, service)),
                }
            }
        }
        Ok(whole)
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(serde_saphyr::from_str(text)?)
    }
}

impl Service {
    fn merge(&mut self, later: Self) {
        let Self { image, build, hostname, environment, command, healthcheck, depends_on, volumes, _expose } =
            later;
        self.image = image.or_else(|| self.image.take());
        self.build = build.or_else(|| self.build.take());
        self.hostname = hostname.or_else(|| self.hostname.take());
        self.command = command.or_else(|| self.command.take());
        self.healthcheck = healthcheck.or_else(|| self.healthcheck.take());
        self._expose = _expose.or_else(|| self._expose.take());
        self.environment.extend(environment);
        self.depends_on.extend(depends_on);
        self.volumes.extend(volumes);
    }

    /// Its volumes and where they are.
    pub(super) fn mounts(&self) -> Result<Vec<(String, String)>> {
        let split = |volume: &String| {
            let parts = volume.split_once(':').filter(|(_, path)| !path.contains(':'));
            let (name, path) = parts.with_context(|| format!("a volume that is not NAME:PATH: {volume}"))?;
            Ok((name.to_owned(), path.to_owned()))
        };
        self.volumes.iter().map(split).collect()
    }

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
