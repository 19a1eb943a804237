//! What names a card, an authorization and a refusal at the processor.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

/// Stands for a card, as the provider's form gave it: 1 to 255 characters of
/// `[A-Za-z0-9_.-]`. Whoever holds it can charge the card, so it is never printed.
#[derive(Clone)]
pub struct PaymentToken(SecretString);

/// A text that is not a payment token. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTokenError {
    /// Whoever sends one has bypassed the provider's form.
    #[error("must be a token: card numbers are not accepted")]
    CardNumber,
    /// Too long, empty, or of other characters.
    #[error("must be 1 to 255 letters, digits, '_', '.' or '-'")]
    Form,
}

/// The processor's own name for an authorization: 1 to 255 characters, none of them a
/// control character, which not every database keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference(Box<str>);

/// A text that cannot name an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 characters without control characters")]
pub struct ParseReferenceError;

/// Why the processor refused, such as `insufficient_funds`: 1 to 64 of `[a-z0-9_]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code(Box<str>);

impl PaymentToken {
    /// The text, to hand to the processor and to nobody else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for PaymentToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        if is_like_a_card_number(text) {
            return Err(ParseTokenError::CardNumber);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if text.is_empty() || 255 < text.len() || !text.bytes().all(allowed) {
            return Err(ParseTokenError::Form);
        }
        Ok(Self(text.into()))
    }
}

/// Twelve to nineteen digits, however they are grouped.
fn is_like_a_card_number(text: &str) -> bool {
    let mut letters = text.chars().filter(|c| c.is_alphanumeric());
    let digits = letters.clone().filter(char::is_ascii_digit).count();
    (12..=19).contains(&digits) && letters.all(|c| c.is_ascii_digit())
}

impl PartialEq for PaymentToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for PaymentToken {}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken([redacted])")
    }
}

impl Reference {
    /// One that was parsed before, or that was made up here.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let length = text.chars().take(256).count();
        if !(1..=255).contains(&length) || text.chars().any(char::is_control) {
            return Err(ParseReferenceError);
        }
        Ok(Self(text.into()))
    }
}

impl Code {
    /// Keeps of a processor's text what is fit to be shown and compared.
    pub fn new(text: &str) -> Self {
        let code: String = text
            .chars()
            .take(64)
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
            .collect();
        if code.is_empty() { Self("unknown".into()) } else { Self(code.into()) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_looks_like_a_card_number_is_refused() {
        for text in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "4242_4242.4242 4242",
            "123456789012",
            "1234567890123456789",
        ] {
            assert_eq!(text.parse::<PaymentToken>().unwrap_err(), ParseTokenError::CardNumber);
        }
    }

    #[test]
    fn a_token_is_short_plain_text() {
        for text in
            ["tok_ok", "12345678901", "12345678901234567890", "pm_1.a-B", "tok_4242424242424242"]
        {
            assert_eq!(text.parse::<PaymentToken>().unwrap().expose(), text);
        }
        for text in ["", "tok ok", "tok\n", "tök", "a/b", &"a".repeat(256)] {
            assert_eq!(text.parse::<PaymentToken>().unwrap_err(), ParseTokenError::Form);
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let token: PaymentToken = "tok_visible".parse().unwrap();

        assert!(!format!("{token:?}").contains("visible"));
    }

    #[test]
    fn a_reference_is_what_every_database_can_keep() {
        for text in ["pi_1", "é/ü", &"a".repeat(255)] {
            assert_eq!(text.parse::<Reference>().unwrap().as_str(), text);
        }
        for text in ["", "pi_\0", "pi\n1", &"a".repeat(256)] {
            assert_eq!(text.parse::<Reference>(), Err(ParseReferenceError));
        }
    }

    #[test]
    fn a_code_is_always_fit_to_be_shown() {
        assert_eq!(Code::new("Do not\nhonour").as_str(), "do_not_honour");
        assert_eq!(Code::new("").as_str(), "unknown");
        assert_eq!(Code::new(&"é".repeat(100)).as_str().len(), 64);
    }
}
