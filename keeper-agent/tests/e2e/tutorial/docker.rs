//! The real `docker compose`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::backend::Compose;
use super::command::{Exec, Up};
use crate::harness::{Ended, run_directory, run_to_end, run_to_end_with_input, wait_child};

const IMAGE: &str = "pg_auto_failover:citus";
/// For questions to the daemon.
const SHORT: Duration = Duration::from_secs(10);
/// For commands in containers, and for taking all of them down.
const LONG: Duration = Duration::from_secs(120);

/// `docker compose`, or `docker-compose` where that is what there is.
pub(super) struct Docker {
    program: &'static [&'static str],
    /// Where the compose files are.
    directory: PathBuf,
    /// The files of the services that are up, and the command that prints their logs.
    running: Option<(String, Child)>,
    /// How often services were started: each time, files that ask for `SUBNET` get another one.
    starts: u8,
    /// The files that were used last, whose volumes go in the end.
    used: Option<String>,
}

impl Docker {
    /// A daemon that answers.
    pub(super) fn find(directory: &Path) -> Option<Self> {
        let succeeds = |line: &[&str]| {
            let mut command = Command::new(line[0]);
            run_to_end(command.args(&line[1..]), SHORT).is_ok_and(|ended| ended.status.success())
        };
        if !succeeds(&["docker", "info"]) {
            return None;
        }
        let programs: [&'static [&'static str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let program = programs.into_iter().find(|program| succeeds(&[program, &["version"][..]].concat()))?;
        Some(Self { program, directory: directory.to_owned(), running: None, starts: 0, used: None })
    }

    /// Fails when the image has not been built.
    pub(super) fn needs_image(&self) -> Result<()> {
        let ended = run_to_end(Command::new("docker").args(["image", "inspect", IMAGE]), SHORT)?;
        ensure!(ended.status.success(), "there is no image {IMAGE}: run `make docker` first");
        Ok(())
    }

    /// A program in a new container of the image.
    fn in_image(&self, arguments: &[&str]) -> Result<Ended> {
        run_to_end(Command::new("docker").args(["run", "--rm", IMAGE]).args(arguments), LONG)
    }

    fn command(&self, file: &str) -> Command {
        let mut command = Command::new(self.program[0]);
        command.args(&self.program[1..]).current_dir(&self.directory).env("COMPOSE_FILE", file);
        command.env("SUBNET", format!("10.214.{}.0/24", self.starts));
        command
    }

    fn running(&self) -> Result<&str> {
        self.running.as_ref().map(|(file, _)| file.as_str()).context("nothing is up")
    }

    fn log(&self) -> PathBuf {
        run_directory().join("compose-up.log")
    }
}

impl Compose for Docker {
    fn describe(&self) -> String {
        self.program.join(" ")
    }

    fn has_citus(&self) -> Result<bool> {
        let file = "test -e /usr/share/postgresql/*/extension/citus.control";
        Ok(self.in_image(&["sh", "-c", file])?.status.success())
    }

    fn postgres_major(&self) -> String {
        let printed = self.in_image(&["postgres", "--version"]).map(|ended| ended.stdout).unwrap_or_default();
        let number = printed.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty());
        number.unwrap_or_default().to_owned()
    }

    fn up(&mut self, up: &Up) -> Result<()> {
        ensure!(self.running.is_none(), "services are up already");
        std::fs::create_dir_all(run_directory())?;
        let log = File::create(self.log())?;
        self.starts += 1;
        self.used = Some(up.file.clone());
        let mut command = self.command(&up.file);
        command.arg("up");
        for (service, count) in &up.scale {
            command.args(["--scale", &format!("{service}={count}")]);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.running = Some((up.file.clone(), child));
        Ok(())
    }

    fn exec(&mut self, exec: &Exec, input: &str) -> Result<Ended> {
        let mut command = self.command(self.running()?);
        command.args(["exec", "-T", "--index", &exec.index.to_string(), &exec.service]).args(&exec.arguments);
        run_to_end_with_input(&mut command, input, LONG)
    }

    fn down(&mut self) -> Result<()> {
        let Some((file, mut child)) = self.running.take() else {
            bail!("nothing is up");
        };
        let down = run_to_end(self.command(&file).arg("down"), LONG).and_then(Ended::success);
        if wait_child(&mut child, SHORT)?.is_none() {
            child.kill()?;
            child.wait()?;
        }
        down.map(drop)
    }

    fn logs(&mut self) -> String {
        let logs = self.running().and_then(|file| {
            run_to_end(self.command(file).args(["logs", "--no-color", "--tail", "40"]), SHORT)
        });
        logs.map_or_else(|error| format!("{error:#}"), |ended| ended.stdout + &ended.stderr)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.running.is_some()
            && let Err(error) = self.down()
        {
            eprintln!("containers may be left: {error:#}");
        }
        if let Some(file) = self.used.take()
            && let Err(error) =
                run_to_end(self.command(&file).args(["down", "--volumes"]), LONG).and_then(Ended::success)
        {
            eprintln!("volumes may be left: {error:#}");
        }
    }
}
