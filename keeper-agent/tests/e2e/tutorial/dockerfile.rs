//! What the stand-in does of a service's own Dockerfile: the files it copies and the command it starts.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A Dockerfile of a service that is none of ours.
#[derive(Debug)]
pub(super) struct Dockerfile {
    /// Files beside it, and where they are put.
    pub(super) copies: Vec<(String, String)>,
    /// What containers start.
    pub(super) command: Vec<String>,
}

impl Dockerfile {
    /// Reads `COPY file /path` and `CMD ["program", "argument"]`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut copies = Vec::new();
        let mut command = Vec::new();
        for line in text.lines() {
            if let Some(arguments) = line.strip_prefix("COPY ") {
                let (file, target) = arguments.split_once(' ').context("COPY needs two arguments")?;
                copies.push((file.to_owned(), target.to_owned()));
            } else if let Some(words) = line.strip_prefix("CMD ") {
                command = serde_json::from_str(words).context("CMD must be a list")?;
            }
        }
        ensure!(!command.is_empty(), "there is no CMD");
        Ok(Self { copies, command })
    }
}
