//! Addresses and what makes two of them the same.
//!
//! What is not here: Unicode normalisation. Two addresses that differ only in
//! how an accent is composed are two addresses.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use trellis_api::id::Bucket;

/// A plausible email address of at most 254 bytes.
///
/// The domain is lower case; the local part is kept as it was typed, because
/// that is how its owner wants to read it. Equality is that of the text: whether
/// two addresses are one account is decided by [`Email::key`].
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// What must be unique: SHA-256 of the whole address in lower case.
///
/// The hash is not keyed. It gives the directory a short key that spreads
/// evenly; it does not hide an address from someone who can guess it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmailKey(pub [u8; 32]);

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseEmailError {
    #[error("must be at most 254 bytes long")]
    TooLong,
    #[error("must have exactly one @")]
    At,
    #[error("must have 1 to 64 bytes before the @, without spaces, quotes, brackets or stray dots")]
    Local,
    #[error("must end in a domain such as example.com")]
    Domain,
}

impl Email {
    /// An address that was parsed before it was stored.
    ///
    /// It is not parsed again, so that a stricter rule locks nobody out.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn key(&self) -> EmailKey {
        EmailKey(Sha256::digest(self.0.to_lowercase().as_bytes()).into())
    }
}

impl EmailKey {
    /// Where the entry of the address belongs: the first twelve bits.
    pub(crate) fn bucket(self) -> Bucket {
        let number = u16::from_be_bytes([self.0[0], self.0[1]]) >> 4;
        Bucket::new(number).expect("twelve bits are a bucket")
    }
}

impl FromStr for Email {
    type Err = ParseEmailError;

    fn from_str(text: &str) -> Result<Self, ParseEmailError> {
        let text = text.trim();
        if 254 < text.len() {
            return Err(ParseEmailError::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(ParseEmailError::At)?;
        if domain.contains('@') {
            return Err(ParseEmailError::At);
        }
        if !is_local(local) {
            return Err(ParseEmailError::Local);
        }
        let domain = domain.to_lowercase();
        if !is_domain(&domain) {
            return Err(ParseEmailError::Domain);
        }
        let address = format!("{local}@{domain}");
        // Lower case can be longer than upper case outside ASCII.
        if 254 < address.len() { Err(ParseEmailError::TooLong) } else { Ok(Self(address)) }
    }
}

/// Dot-separated atoms; the quoted form of RFC 5321 is refused, as by everyone.
fn is_local(text: &str) -> bool {
    let allowed = |c: char| {
        !c.is_control()
            && !c.is_whitespace()
            && !matches!(c, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | '\\' | ']')
    };
    (1..=64).contains(&text.len())
        && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(allowed))
}

/// At least two labels, the last of them not a number: no bare hosts, no IP addresses.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    text.split('.').all(is_label)
        && text.rsplit_once('.').is_some_and(|(_, last)| last.chars().any(|c| !c.is_ascii_digit()))
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(redacted)")
    }
}

impl fmt::Debug for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_domain_is_lowered_and_the_local_part_is_kept() {
        let email: Email = "  Ada.Lovelace+shop@Example.COM ".parse().unwrap();

        assert_eq!(email.as_str(), "Ada.Lovelace+shop@example.com");
    }

    #[test]
    fn case_does_not_make_another_account() {
        let one: Email = "Ada@Example.com".parse().unwrap();
        let other: Email = "aDA@EXAMPLE.COM".parse().unwrap();

        assert_eq!(one.key(), other.key());
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_that_is_wrong() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "b".repeat(64));
        let long_whole = format!("a@{}com", "b.".repeat(126));
        let cases = [
            ("", ParseEmailError::At),
            ("ada", ParseEmailError::At),
            ("a@b@example.com", ParseEmailError::At),
            ("@example.com", ParseEmailError::Local),
            ("a b@example.com", ParseEmailError::Local),
            ("\"ada\"@example.com", ParseEmailError::Local),
            (".ada@example.com", ParseEmailError::Local),
            ("ada..l@example.com", ParseEmailError::Local),
            ("ada\u{0}@example.com", ParseEmailError::Local),
            (&long_local, ParseEmailError::Local),
            ("ada@", ParseEmailError::Domain),
            ("ada@localhost", ParseEmailError::Domain),
            ("ada@example..com", ParseEmailError::Domain),
            ("ada@-example.com", ParseEmailError::Domain),
            ("ada@exa mple.com", ParseEmailError::Domain),
            ("ada@127.0.0.1", ParseEmailError::Domain),
            (&long_label, ParseEmailError::Domain),
            (&long_whole, ParseEmailError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Email>(), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(text in "\\PC{0,80}|[a-zA-Z.@-]{1,40}") {
            if let Ok(email) = text.parse::<Email>() {
                let again: Email = email.as_str().parse().unwrap();
                prop_assert_eq!(again.as_str(), email.as_str());
                prop_assert_eq!(again.key(), email.key());
            }
        }
    }
}
