//! The program of a hook: words, of which the first is an absolute path. No shell sees them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCommand {
    text: String,
    program: String,
    arguments: Vec<String>,
}

impl HookCommand {
    /// The absolute path of the program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl fmt::Display for HookCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for HookCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = shlex::split(text).ok_or_else(|| format!("\"{text}\" has a quote that does not end"))?;
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        if !Path::new(&program).is_absolute() {
            return Err(format!("\"{program}\" is not the absolute path of a program"));
        }
        Ok(Self { text: text.to_owned(), program, arguments: words.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them_and_nothing_else_is_done() {
        let command: HookCommand =
            "/opt/move-address --dev eth0 '10.0.0.9/24 x' $HOME".parse().expect("a command");
        assert_eq!(command.program(), "/opt/move-address");
        assert_eq!(command.arguments(), ["--dev", "eth0", "10.0.0.9/24 x", "$HOME"]);
        assert_eq!(command.to_string(), "/opt/move-address --dev eth0 '10.0.0.9/24 x' $HOME");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!("".parse::<HookCommand>().is_err());
        assert_eq!(
            "move-address x".parse::<HookCommand>(),
            Err("\"move-address\" is not the absolute path of a program".to_owned())
        );
        assert!("/bin/echo 'x".parse::<HookCommand>().is_err());
    }
}
