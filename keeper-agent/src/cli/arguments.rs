//! The arguments of the command line, without passwords where others could read them.
//!
//! Every user of a machine can read the arguments of its processes. So a program that is given a password among them starts
//! itself again at once, as the same process: with masks in the arguments, and with what they stand for in its environment,
//! which its owner alone can read.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::client::{ConnectionString, MASK};

/// Has the process id and the arguments. Another process may inherit it, to which it means nothing.
const VARIABLE: &str = "PG_AUTOCTL_ARGUMENTS";

/// The arguments as they were given. To be called before any thread is started.
pub(super) fn given() -> Vec<OsString> {
    if let Some(hidden) = std::env::var(VARIABLE).ok().and_then(|text| unpack(&text)) {
        // SAFETY: this is the only thread, so nobody reads the environment at the same time.
        #[allow(unsafe_code)]
        unsafe {
            std::env::remove_var(VARIABLE);
        }
        return hidden.into_iter().map(OsString::from).collect();
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    hide(&arguments);
    arguments
}

/// Returns when there is nothing to hide, or where the program cannot be started again: it then goes on as it is.
fn hide(arguments: &[OsString]) {
    let Some(plain) = arguments.iter().map(|argument| argument.to_str()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let masked = masked(&plain);
    if masked == plain {
        return;
    }
    let (Ok(program), [own_name, rest @ ..]) = (std::env::current_exe(), masked.as_slice()) else {
        return;
    };
    let error = Command::new(program).arg0(own_name).args(rest).env(VARIABLE, pack(&plain)).exec();
    eprintln!("could not hide the password on the command line: {error}");
}

fn pack(arguments: &[&str]) -> String {
    serde_json::json!([std::process::id(), arguments]).to_string()
}

fn unpack(text: &str) -> Option<Vec<String>> {
    let (process, arguments): (u32, Vec<String>) = serde_json::from_str(text).ok()?;
    (process == std::process::id()).then_some(arguments)
}

/// The same with masks in the places of passwords: those in connection strings, and values of settings that are passwords.
fn masked(arguments: &[&str]) -> Vec<String> {
    let mut is_password = false;
    let mut masked = Vec::new();
    for argument in arguments {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (format!("{option}="), value),
            _ => (String::new(), *argument),
        };
        let value = match value.parse::<ConnectionString>() {
            _ if is_password && value != "-" => MASK.to_owned(),
            Ok(target) if target.password.is_some() => target.to_string(),
            _ => value.to_owned(),
        };
        is_password = argument.ends_with("password");
        masked.push(option + &value);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_and_nothing_else() {
        let same = [
            "pg_autoctl",
            "create",
            "postgres",
            "--monitor",
            "postgres://node@h/db?sslmode=require",
            "-p",
            "5",
        ];
        assert_eq!(masked(&same), same);
        let with = |argument: &str| masked(&["pg_autoctl", argument, "next"]).join(" ");
        assert_eq!(with("postgres://node:pw@h:1/db"), "pg_autoctl postgres://node:****@h:1/db next");
        assert_eq!(
            with("--monitor=postgres://node:pw@h:1/db"),
            "pg_autoctl --monitor=postgres://node:****@h:1/db next"
        );
        assert!(!with("host=h user=node password=pw").contains("=pw"));
        let set = ["pg_autoctl", "config", "set", "replication.password", "pw", "--json"];
        assert_eq!(masked(&set).join(" "), "pg_autoctl config set replication.password **** --json");
        let read = ["pg_autoctl", "config", "set", "replication.password", "-"];
        assert_eq!(masked(&read), read, "it comes from standard input");
    }

    #[test]
    fn hidden_arguments_are_for_one_process() {
        let given = ["pg_autoctl", "--monitor", "postgres://a:b@c/d"];
        let packed = pack(&given);
        assert_eq!(unpack(&packed).expect("its own"), given);
        let other = packed.replacen(&std::process::id().to_string(), "1", 1);
        assert_eq!(unpack(&other), None);
        assert_eq!(unpack("nonsense"), None);
    }
}
