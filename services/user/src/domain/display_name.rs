//! What the shop calls a customer.

use std::fmt;
use std::str::FromStr;

/// 1 to 100 characters without control characters, trimmed.
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDisplayNameError {
    #[error("must be 1 to 100 characters long")]
    Length,
    #[error("must not contain control characters")]
    Control,
}

impl DisplayName {
    /// A name that was parsed before it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DisplayName {
    type Err = ParseDisplayNameError;

    fn from_str(text: &str) -> Result<Self, ParseDisplayNameError> {
        let text = text.trim();
        if !(1..=100).contains(&text.chars().count()) {
            return Err(ParseDisplayNameError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(ParseDisplayNameError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DisplayName(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_counted_in_characters() {
        let name: DisplayName = "  Åsa 🌱 ".parse().unwrap();
        assert_eq!(name.as_str(), "Åsa 🌱");

        assert!("å".repeat(100).parse::<DisplayName>().is_ok());
        assert_eq!("å".repeat(101).parse::<DisplayName>(), Err(ParseDisplayNameError::Length));
    }

    #[test]
    fn blank_names_and_control_characters_are_refused() {
        assert_eq!(" \t ".parse::<DisplayName>(), Err(ParseDisplayNameError::Length));
        assert_eq!("a\u{1b}[31m".parse::<DisplayName>(), Err(ParseDisplayNameError::Control));
        assert_eq!("a\nb".parse::<DisplayName>(), Err(ParseDisplayNameError::Control));
    }
}
