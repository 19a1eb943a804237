//! Passwords as they are typed and as they are kept.
//!
//! How one becomes the other is in `passwords`.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// A password as it was typed, 8 to 128 characters; every character counts.
///
/// Erased from memory when it is dropped.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// Why a text is not a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 8 to 128 characters long")]
pub struct ParsePasswordError;

/// An argon2id hash with its salt and cost, as a PHC string.
///
/// Whoever reads one can try passwords against it, so it is a secret too.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl Password {
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl FromStr for Password {
    type Err = ParsePasswordError;

    fn from_str(text: &str) -> Result<Self, ParsePasswordError> {
        if (8..=128).contains(&text.chars().count()) {
            Ok(Self(text.into()))
        } else {
            Err(ParsePasswordError)
        }
    }
}

impl PasswordHash {
    /// What `passwords` made, now or before it was stored.
    pub fn stored(phc: String) -> Self {
        Self(phc)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_and_nothing_is_trimmed() {
        assert!("1234567".parse::<Password>().is_err());
        assert!("å".repeat(7).parse::<Password>().is_err());
        assert!("å".repeat(128).parse::<Password>().is_ok());
        assert!("a".repeat(129).parse::<Password>().is_err());

        let spaces: Password = "  1234  ".parse().unwrap();
        assert_eq!(spaces.expose(), b"  1234  ");
    }
}
