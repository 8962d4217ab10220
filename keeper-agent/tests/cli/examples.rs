//! The examples of docs/hooks.md, as they are printed there: each is run as a hook is, with a stand-in for what it talks to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

/// A program that takes the place of another one.
fn stand_in(directory: &Path, name: &str, body: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\nset -eu\n{body}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

/// Calls the hook on a node that has this role from now on; gives what it printed to its error output.
fn call(hook: &mut Command, role: &str) -> String {
    let told = [
        ("PGAF_HOOK", "on_role_change"),
        ("PGAF_NEW_ROLE", role),
        ("PGAF_NODE_HOST", "192.0.2.7"),
        ("PGAF_NODE_PORT", "5433"),
        ("PGAF_DBNAME", "app"),
    ];
    let ended = hook.envs(told).stdin(Stdio::null()).output().expect("started");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    said
}

#[test]
fn the_address_moves_with_the_primary() {
    let directory = tempfile::tempdir().expect("a directory");
    let addresses = directory.path().join("addresses");
    fs::write(&addresses, "2: eth0    inet 192.0.2.70/24 brd 192.0.2.255\n").expect("written");
    let body = format!(
        "file={}\n\
         case \"$*\" in\n\
         '-o address show dev eth0') cat $file ;;\n\
         'address add 192.0.2.10/24 dev eth0') echo '2: eth0    inet 192.0.2.10/24 scope global' >>$file ;;\n\
         'address del 192.0.2.10/24 dev eth0') grep -v ' 192.0.2.10/24 ' $file >$file.new; mv $file.new $file ;;\n\
         *) echo \"ip $*\" >&2; exit 1 ;;\n\
         esac",
        addresses.display()
    );
    let ip = stand_in(directory.path(), "ip", &body);
    // Neighbours are told by a program that needs a network.
    stand_in(directory.path(), "arping", "exit 0");
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let become_ = |role: &str| {
        let mut hook = Command::new(example("move-address"));
        call(hook.args(["eth0", "192.0.2.10/24"]).arg(&ip).env("PATH", &path), role);
        fs::read_to_string(&addresses).expect("there").matches(" 192.0.2.10/24 ").count()
    };
    assert_eq!(become_("standby"), 0);
    assert_eq!(become_("primary"), 1);
    assert_eq!(become_("primary"), 1, "it is called again after a restart");
    assert_eq!(become_("none"), 0);
    assert_eq!(become_("none"), 0);
    let left = fs::read_to_string(&addresses).expect("there");
    assert!(left.contains(" 192.0.2.70/24 "), "another address was removed: {left}");
}

#[test]
fn the_pooler_is_told_of_a_new_primary_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, asked) = (directory.path().join("databases.ini"), directory.path().join("asked"));
    stand_in(directory.path(), "psql", &format!("echo \"$@\" >>{}", asked.display()));
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let tell = |role: &str| {
        let mut hook = Command::new(example("tell-pooler"));
        let console = "host=/run/pgbouncer port=6432 dbname=pgbouncer";
        call(hook.arg(&file).args(["app", console]).env("PATH", &path), role)
    };
    tell("standby");
    assert!(!file.exists() && !asked.exists(), "a standby has told the pooler");
    tell("primary");
    let written = fs::read_to_string(&file).expect("written");
    assert_eq!(written, "[databases]\napp = host=192.0.2.7 port=5433 dbname=app\n");
    let asked = fs::read_to_string(&asked).expect("asked");
    assert_eq!(asked.trim(), "-X -q -d host=/run/pgbouncer port=6432 dbname=pgbouncer -c RELOAD");
}

#[test]
fn the_webhook_sends_what_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/events", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a request");
        let mut reader = BufReader::new(stream.try_clone().expect("the same"));
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a number");
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        (&stream).write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("answered");
        (head, String::from_utf8(body).expect("text"))
    });
    let event = "{\"hook\":\"on_event\",\"event_id\":14,\"description\":\"it's n1\"}";
    let mut hook = Command::new(example("webhook"))
        .arg(&url)
        .env("no_proxy", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("python3 is there");
    hook.stdin.take().expect("a pipe").write_all(event.as_bytes()).expect("told");
    assert!(hook.wait().expect("ended").success());
    let (head, body) = server.join().expect("served");
    assert!(head.starts_with("POST /events ") && head.contains("application/json"), "{head}");
    assert_eq!(body, event);
}
