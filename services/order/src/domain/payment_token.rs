//! What stands for a card.

use std::fmt;
use std::str::FromStr;

/// What the payment provider's form gave for a card: 1 to 255 visible ASCII characters.
///
/// It can move money, so it never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(String);

/// A text that cannot be a token. It does not say what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePaymentTokenError {
    #[error("must be 1 to 255 visible ASCII characters")]
    Form,
    #[error("must be a token of the payment provider, never a card number")]
    CardNumber,
}

impl PaymentToken {
    /// The secret itself, for the one call that needs it and the row that keeps it until then.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for PaymentToken {
    type Err = ParsePaymentTokenError;

    fn from_str(text: &str) -> Result<Self, ParsePaymentTokenError> {
        if looks_like_a_card_number(text) {
            return Err(ParsePaymentTokenError::CardNumber);
        }
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || 255 < text.len() || !visible {
            return Err(ParsePaymentTokenError::Form);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(redacted)")
    }
}

/// Card numbers have 12 to 19 digits (ISO/IEC 7812-1), which people group with blanks or dashes.
fn looks_like_a_card_number(text: &str) -> bool {
    let separator = |byte: &u8| matches!(byte, b' ' | b'-' | b'.');
    let mut digits = 0;
    for byte in text.bytes().filter(|byte| !separator(byte)) {
        if !byte.is_ascii_digit() {
            return false;
        }
        digits += 1;
    }
    (12..=19).contains(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_refused_however_it_is_written() {
        for text in
            ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "123456789012"]
        {
            let refused = text.parse::<PaymentToken>().unwrap_err();
            assert_eq!(refused, ParsePaymentTokenError::CardNumber, "{text}");
            assert!(!refused.to_string().contains(text));
        }
    }

    #[test]
    fn a_token_is_short_and_visible() {
        for text in ["", "tok ok", "tok\n", "töken", &"t".repeat(256)] {
            assert_eq!(text.parse::<PaymentToken>(), Err(ParsePaymentTokenError::Form), "{text}");
        }
        for text in ["tok_ok", "12345678901", &"t".repeat(255)] {
            assert!(text.parse::<PaymentToken>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_token_never_prints_itself() {
        let token: PaymentToken = "tok_secret".parse().unwrap();

        assert_eq!(format!("{token:?}"), "PaymentToken(redacted)");
    }
}
