//! What clients have to show: `user:password` or a token, in a file that its owner alone can read.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openssl::base64::encode_block;
use openssl::memcmp;
use openssl::rand::rand_bytes;

use crate::config::{HttpAuth, HttpConfig};
use crate::files;

/// The user of a password that is made here.
const USER: &str = "autoctl";
const SECRET_BYTES: usize = 24;
/// A longer file is none of ours.
const LONGEST: usize = 4096;

/// Why the secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system says so.
    #[error("cannot {what} \"{}\": {reason}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// Others can read it.
    #[error("\"{}\" can be read by others than its owner: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// It is not what it should be.
    #[error("\"{}\" must have one line, {expected}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
    /// There is no randomness.
    #[error("cannot make a password: {0}")]
    Random(#[from] openssl::error::ErrorStack),
}

/// What a client has to send in `Authorization`.
pub(super) struct Secret {
    expected: String,
    pub(super) challenge: &'static str,
}

impl Secret {
    /// Reads it; `None` when none is wanted.
    pub(super) fn load(config: &HttpConfig, default: &Path) -> Result<Option<Self>, SecretError> {
        if config.auth == HttpAuth::None {
            return Ok(None);
        }
        let path = config.auth_file.as_deref().unwrap_or(default);
        let failed = |what| move |reason| SecretError::File { what, path: path.to_owned(), reason };
        let mode = path.metadata().map_err(failed("read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed(path.to_owned()));
        }
        let content = std::fs::read_to_string(path).map_err(failed("read"))?;
        Self::of(config.auth, content.trim_end_matches(['\r', '\n']), path).map(Some)
    }

    fn of(auth: HttpAuth, line: &str, path: &Path) -> Result<Self, SecretError> {
        let malformed = |expected| SecretError::Malformed { path: path.to_owned(), expected };
        let is_line = !line.is_empty() && line.len() < LONGEST && !line.contains(char::is_control);
        let (expected, challenge) = match auth {
            HttpAuth::Basic if is_line && line.split_once(':').is_some_and(|(_, word)| !word.is_empty()) => (
                format!("Basic {}", encode_block(line.as_bytes())),
                "Basic realm=\"pg_autoctl\", charset=\"UTF-8\"",
            ),
            HttpAuth::Basic => return Err(malformed("user:password")),
            _ if is_line => (format!("Bearer {line}"), "Bearer realm=\"pg_autoctl\""),
            _ => return Err(malformed("the token")),
        };
        Ok(Self { expected, challenge })
    }

    /// It is a token.
    pub(super) fn is_bearer(&self) -> bool {
        self.expected.starts_with("Bearer ")
    }

    /// Whether this is what is expected; how long that takes tells nothing but the length.
    pub(super) fn is_shown(&self, authorization: Option<&[u8]>) -> bool {
        let Some(shown) = authorization else { return false };
        // The name of a scheme is the same in any case.
        let end = shown.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let (scheme, expected) = (&shown[..end], self.expected.as_bytes());
        let is_scheme = expected.get(..end).is_some_and(|ours| ours.eq_ignore_ascii_case(scheme));
        let (theirs, ours) = (&shown[end..], expected.get(end..).unwrap_or_default());
        end > 0 && is_scheme && theirs.len() == ours.len() && memcmp::eq(theirs, ours)
    }
}

/// Makes a secret where one is wanted and there is none; says where it is.
///
/// # Errors
/// It cannot be written.
pub fn ensure_secret(config: &HttpConfig, default: &Path) -> Result<Option<PathBuf>, SecretError> {
    let path = config.auth_file.as_deref().unwrap_or(default);
    if config.auth == HttpAuth::None || path.exists() {
        return Ok(None);
    }
    let mut bytes = [0; SECRET_BYTES];
    rand_bytes(&mut bytes)?;
    let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = if config.auth == HttpAuth::Basic { format!("{USER}:{word}\n") } else { format!("{word}\n") };
    files::atomic::write(path, line.as_bytes()).map_err(|reason| SecretError::File {
        what: "write",
        path: path.to_owned(),
        reason,
    })?;
    Ok(Some(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_let_in() {
        let path = Path::new("/secret");
        let secret = |auth, line| Secret::of(auth, line, path).expect("a secret");
        let basic = secret(HttpAuth::Basic, "me:my word");
        let shown = format!("basic {}", encode_block(b"me:my word"));
        assert!(basic.is_shown(Some(shown.as_bytes())));
        let bearer = secret(HttpAuth::Bearer, "abc");
        assert!(bearer.is_shown(Some(b"Bearer abc")) && bearer.is_shown(Some(b"bearer abc")));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer ab",
            b"Bearer abcd",
            b"Bearer abC",
            b"Basic abc",
            b"abc",
        ] {
            assert!(!bearer.is_shown(Some(wrong)), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(!bearer.is_shown(None));
        for (auth, line) in [(HttpAuth::Basic, "no colon"), (HttpAuth::Basic, "me:"), (HttpAuth::Bearer, "")]
        {
            assert!(Secret::of(auth, line, path).is_err(), "{line}");
        }
    }

    #[test]
    fn one_is_made_once_and_others_must_not_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let config = HttpConfig { auth: HttpAuth::Basic, ..HttpConfig::default() };
        assert!(Secret::load(&config, &path).is_err(), "there is none");
        assert_eq!(ensure_secret(&config, &path).expect("made").as_ref(), Some(&path));
        let first = std::fs::read_to_string(&path).expect("read");
        assert!(first.starts_with("autoctl:") && first.len() > 50, "{first}");
        assert_eq!(ensure_secret(&config, &path).expect("there"), None);
        assert!(Secret::load(&config, &path).expect("loaded").is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(matches!(Secret::load(&config, &path), Err(SecretError::Exposed(_))));
        assert!(Secret::load(&HttpConfig::default(), &path).expect("none is wanted").is_none());
    }
}
