//! Plays one part of the document.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::backend::Compose;
use super::command::{Command, Exec, Up};
use super::compare::compare;
use super::document::{Example, Part};
use crate::harness::wait_looking_every;

/// Until a question is answered as in the document: a cluster has become whole by then.
const ANSWER_DEADLINE: Duration = Duration::from_secs(180);

/// Between two questions: programs are started for each.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How many examples went how.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

/// Plays the examples of a part, one after the other; after one that fails the rest has no meaning and counts as failed.
pub(super) fn play(part: &Part, compose: &mut dyn Compose, count: &mut Count) {
    println!("{}", part.name);
    let mut player = Player { compose, file: None };
    for (number, example) in part.examples.iter().enumerate() {
        let began = Instant::now();
        let played = player.play(example);
        let seconds = began.elapsed().as_secs_f64();
        match played {
            Ok(()) => {
                println!("  ok      {seconds:6.1} s  line {}: {}", example.line, example.text);
                count.passed += 1;
            }
            Err(error) => {
                println!("  FAILED  {seconds:6.1} s  line {}: {}\n{error:#}", example.line, example.text);
                println!("{}", player.compose.logs());
                let rest = part.examples.len() - number - 1;
                println!("  {rest} examples of this part were not played");
                count.failed += 1 + rest;
                break;
            }
        }
    }
    // A part that was played to its end has taken down what it started, and then there is nothing to do.
    let _nothing_is_up = player.compose.down();
}

struct Player<'a> {
    compose: &'a mut dyn Compose,
    /// COMPOSE_FILE
    file: Option<String>,
}

impl Player<'_> {
    fn play(&mut self, example: &Example) -> Result<()> {
        match &example.command {
            Command::UseFile(file) => {
                self.file = Some(file.clone());
                Ok(())
            }
            Command::Up(up) => {
                let file = self.file.clone().unwrap_or_else(|| up.file.clone());
                self.compose.up(&Up { file, scale: up.scale.clone() })
            }
            Command::Down => self.compose.down(),
            Command::Exec(exec) => {
                let exec = exec.for_major(&self.compose.postgres_major());
                if exec.is_question() {
                    let what = "what the document shows";
                    wait_looking_every(ASK_AGAIN_AFTER, what, ANSWER_DEADLINE, || {
                        self.once(example, &exec).map(Some)
                    })
                } else {
                    self.once(example, &exec)
                }
            }
        }
    }

    fn once(&mut self, example: &Example, exec: &Exec) -> Result<()> {
        let ended = self.compose.exec(exec, &example.input)?;
        ensure!(ended.status.success(), "it ended with {}\n{}{}", ended.status, ended.stdout, ended.stderr);
        if example.expected.is_empty() {
            return Ok(());
        }
        compare(&example.expected, &ended.stdout, example.strictness)
            .with_context(|| format!("not what the document shows:\n{}{}", ended.stdout, ended.stderr))
    }
}
