//! The service file of libpq: parameters under a name, for everybody who connects to the same server.

use std::path::{Path, PathBuf};

use crate::user;

/// The parameters of a service: from the given file, the user's, or the system's.
///
/// # Errors
/// There is no such service, or its file cannot be read.
pub(super) fn parameters(name: &str, file: Option<&Path>) -> Result<Vec<(String, String)>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = file.map(Path::to_owned).or_else(|| variable("PGSERVICEFILE"));
    let of_user = named.or_else(|| user::home().map(|home| home.join(".pg_service.conf")));
    let of_system = variable("PGSYSCONFDIR").unwrap_or_else(|| PathBuf::from("/etc/postgresql-common"));
    for path in of_user.into_iter().chain([of_system.join("pg_service.conf")]) {
        let content = match std::fs::read_to_string(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read \"{}\": {error}", path.display())),
        };
        if let Some(found) = find(&content, name).map_err(|why| format!("\"{}\": {why}", path.display()))? {
            return Ok(found);
        }
    }
    Err(format!("the service \"{name}\" is in no service file"))
}

fn find(content: &str, name: &str) -> Result<Option<Vec<(String, String)>>, String> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (number, line) in (1..).zip(content.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            if found.is_some() {
                break;
            }
            found =
                (line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(name)).then(Vec::new);
            continue;
        }
        if let Some(found) = &mut found {
            let (key, value) = line.split_once('=').ok_or(format!("line {number} is no key=value"))?;
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::client::ConnectionString;

    #[test]
    fn a_service_fills_in_what_is_not_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("pg_service.conf");
        std::fs::write(
            &file,
            "# ours\n[other]\nhost=x\n\n[ha]\nhost=m1,m2\nport=6000\nuser=u\n[last]\nhost=y\n",
        )
        .expect("written");
        let file = file.display();
        let parse = |text: String| text.parse::<ConnectionString>().map(|target| target.to_uri());
        assert_eq!(
            parse(format!("service=ha servicefile={file} user=me dbname=d")).as_deref(),
            Ok("postgres://me@m1:6000,m2:6000/d")
        );
        assert_eq!(
            parse(format!("postgres:///d?service=ha&servicefile={file}")).as_deref(),
            Ok("postgres://u@m1:6000,m2:6000/d")
        );
        let error = parse(format!("service=none servicefile={file}")).expect_err("unknown").to_string();
        assert!(error.contains("\"none\" is in no service file"), "{error}");
    }
}
