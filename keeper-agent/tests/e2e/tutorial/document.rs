//! The blocks of the document that are played.
//!
//! A `console` block has commands after `$ `, each followed by what it prints; lines that begin with `# ` are remarks. A
//! `sql` block is typed into the psql that the command before it has started, and a `text` block after it is what psql
//! answers. The comment `<!-- columns only -->` before a block says that its tables show a moment: they need to have the
//! same columns. All other blocks are for people.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::command::Command;

const COLUMNS_ONLY: &str = "<!-- columns only -->";

/// The whole document.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Its chapters that have something to play.
    pub(super) parts: Vec<Part>,
}

/// A chapter; it does not need what another has left.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) examples: Vec<Example>,
}

/// A command and what it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// Where it is in the document.
    pub(super) line: usize,
    /// As it is written there.
    pub(super) text: String,
    pub(super) command: Command,
    /// What is typed into it.
    pub(super) input: String,
    /// What it prints; nothing when the document shows nothing.
    pub(super) expected: String,
    pub(super) strictness: Strictness,
}

/// How much of the output is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    Whole,
    ColumnsOnly,
}

impl Document {
    /// Reads a Markdown file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads Markdown.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut document = Self::default();
        let mut strictness = Strictness::Whole;
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(name) = line.strip_prefix("## ") {
                document.parts.push(Part { name: name.to_owned(), examples: Vec::new() });
            } else if line == COLUMNS_ONLY {
                strictness = Strictness::ColumnsOnly;
            } else if let Some(language) = line.strip_prefix("```") {
                let block: Vec<(&str, usize)> =
                    lines.by_ref().take_while(|(line, _)| *line != "```").collect();
                document.add(language, &block, strictness).with_context(|| format!("line {number}"))?;
                strictness = Strictness::Whole;
            }
        }
        document.parts.retain(|part| !part.examples.is_empty());
        Ok(document)
    }

    fn add(&mut self, language: &str, block: &[(&str, usize)], strictness: Strictness) -> Result<()> {
        let part = self.parts.last_mut();
        match language {
            "console" => {
                let part = part.context("a console block before the first heading")?;
                part.examples.extend(examples(block, strictness)?);
            }
            "sql" | "text" => {
                let text: String = block.iter().flat_map(|(line, _)| [line, "\n"]).collect();
                let example = part.and_then(|part| part.examples.last_mut());
                let example =
                    example.with_context(|| format!("a {language} block before the first command"))?;
                if language == "sql" { &mut example.input } else { &mut example.expected }.push_str(&text);
            }
            _ => {}
        }
        Ok(())
    }
}

fn examples(block: &[(&str, usize)], strictness: Strictness) -> Result<Vec<Example>> {
    let mut examples: Vec<Example> = Vec::new();
    for (line, number) in block {
        if let Some(text) = line.strip_prefix("$ ") {
            examples.push(Example {
                line: *number,
                text: text.to_owned(),
                command: Command::parse(text).with_context(|| format!("line {number}"))?,
                input: String::new(),
                expected: String::new(),
                strictness,
            });
        } else if !line.starts_with("# ") && !line.is_empty() {
            let Some(example) = examples.last_mut() else {
                bail!("line {number}: output before the first command");
            };
            example.expected.push_str(line);
            example.expected.push('\n');
        }
    }
    Ok(examples)
}
