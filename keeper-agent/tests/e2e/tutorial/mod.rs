//! `make tutorial`: plays docs/tutorial.md. Every command of its console blocks is run, and what it prints is compared
//! with what the document shows.
//!
//! `document` reads the blocks, `output` and `compare` say what counts as the same, and `player` runs the commands
//! on one of two things that can do what `docker compose` does: itself, or `stand_in`, which reads the same compose
//! files and makes every container of namespaces. `TUTORIAL_ON=docker` or `stand-in` chooses, otherwise a Docker daemon
//! that answers is taken.

mod backend;
mod command;
mod compare;
mod compose_file;
mod container;
mod docker;
mod dockerfile;
mod document;
mod image;
mod output;
mod player;
mod stand_in;
mod trials;

pub(crate) use trials::trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::harness::unavailable;
use backend::Compose;
use docker::Docker;
use document::{Document, Part};
use player::Count;
use stand_in::StandIn;

/// Plays the document and prints how each step went.
pub(crate) fn run() -> Result<ExitCode> {
    let document = Document::read(&repository().join("docs/tutorial.md"))?;
    let mut count = Count::default();
    match choose_backend()? {
        Ok(mut compose) => play(&document, compose.as_mut(), &mut count)?,
        Err(reason) => skip(&document.parts, &reason, &mut count),
    }
    println!("{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(document: &Document, compose: &mut dyn Compose, count: &mut Count) -> Result<()> {
    println!("docs/tutorial.md, on {}", compose.describe());
    if compose.has_citus()? {
        for part in &document.parts {
            player::play(part, compose, count);
        }
    } else if std::env::var_os("PGAF_REQUIRE_CITUS").is_some_and(|value| value == "1") {
        bail!("Postgres {} has no extension citus, and PGAF_REQUIRE_CITUS is set", compose.postgres_major());
    } else {
        let reason = format!("Postgres {} has no extension citus", compose.postgres_major());
        skip(&document.parts, &reason, count);
    }
    Ok(())
}

fn skip(parts: &[Part], reason: &str, count: &mut Count) {
    for part in parts {
        println!("skipped: {}, {} examples: {reason}", part.name, part.examples.len());
        count.skipped += part.examples.len();
    }
}

/// What can do what `docker compose` does, or why there is nothing.
fn choose_backend() -> Result<Result<Box<dyn Compose>, String>> {
    let directory = repository().join("docker");
    let asked = std::env::var("TUTORIAL_ON").unwrap_or_default();
    let docker = match asked.as_str() {
        "stand-in" => None,
        "docker" => Some(Docker::find(&directory).context("no Docker daemon answers")?),
        "" => Docker::find(&directory),
        other => bail!("TUTORIAL_ON is \"docker\" or \"stand-in\", not \"{other}\""),
    };
    if let Some(docker) = docker {
        docker.needs_image()?;
        return Ok(Ok(Box::new(docker)));
    }
    Ok(match unavailable() {
        Some(reason) => Err(format!("no Docker daemon answers, and there is no stand-in: {reason}")),
        None => Ok(Box::new(StandIn::new(&directory)?)),
    })
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
