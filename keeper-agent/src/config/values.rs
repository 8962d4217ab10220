//! Values of the configuration that are one of a few words, or a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A word that a setting does not know; the message names those it knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not one of {known}")]
pub struct UnknownWord {
    given: String,
    known: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The word in the configuration file.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord {
                        given: text.to_owned(),
                        known: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}

words! {
    /// What a PGDATA is for.
    Role {
        /// A data node.
        Keeper = "keeper",
        /// The monitor's own Postgres.
        Monitor = "monitor",
    }
}

words! {
    /// How connections that we allow in pg_hba.conf authenticate.
    AuthMethod {
        /// Not at all.
        Trust = "trust",
        /// With a password, in the old way.
        Md5 = "md5",
        /// With a password.
        ScramSha256 = "scram-sha-256",
        /// With a client certificate.
        Cert = "cert",
        /// As the user says in pg_hba.conf.
        Skip = "skip",
    }
}

words! {
    /// How much of pg_hba.conf is edited.
    HbaLevel {
        /// Nothing: the user does it.
        None = "none",
        /// Entries for the nodes of the group.
        Minimal = "minimal",
        /// As `Minimal`, and for everybody on the local network.
        Lan = "lan",
    }
}

words! {
    /// What a client of the node's HTTP server has to show.
    HttpAuth {
        /// Nothing.
        None = "none",
        /// A user and a password.
        Basic = "basic",
        /// A token.
        Bearer = "bearer",
    }
}

words! {
    /// Which part a node plays for Citus.
    CitusRole {
        /// It can become a primary.
        Primary = "primary",
        /// It serves a read-only Citus cluster.
        Secondary = "secondary",
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time, which is a number of seconds, or a number with ms, s or min")]
pub struct InvalidDuration(String);

/// Reads a number of seconds, or a number with a unit of Postgres.
///
/// # Errors
/// Anything else.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let digits = text.trim().trim_end_matches(|char: char| !char.is_ascii_digit());
    let milliseconds = match text.trim().strip_prefix(digits).map(str::trim) {
        Some("ms") => Some(1),
        Some("" | "s") => Some(1_000),
        Some("min") => Some(60_000),
        _ => None,
    };
    milliseconds
        .and_then(|unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit))
        .map(Duration::from_millis)
        .ok_or_else(|| InvalidDuration(text.to_owned()))
}

/// Writes what `parse_duration` reads: seconds, or milliseconds with their unit.
pub fn print_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        duration.as_secs().to_string()
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_unknown_ones_name_the_known() {
        assert_eq!("scram-sha-256".parse(), Ok(AuthMethod::ScramSha256));
        let message = "all".parse::<HbaLevel>().expect_err("unknown").to_string();
        assert_eq!(message, "\"all\" is not one of none, minimal, lan");
    }

    #[test]
    fn durations_read_back() {
        for (text, milliseconds) in [("4", 4_000), ("1500ms", 1_500), ("2 s", 2_000), ("1min", 60_000)] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(milliseconds));
            assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }
        for text in ["", "s", "-1", "1.5", "1h", "99999999999999999999"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
