//! A password: kept, used, never shown.

use std::fmt;

/// What is printed in the place of a password.
pub const MASK: &str = "****";

const RANDOM_BYTES: usize = 24;

/// A password. Printing one prints a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a password in.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// A new one that nobody can guess, of letters and digits.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn random() -> Result<Self, openssl::error::ErrorStack> {
        let mut bytes = [0; RANDOM_BYTES];
        openssl::rand::rand_bytes(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The password itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "**** ****");
        assert_eq!(secret.expose(), "hunter2");
    }
}
