//! Tokens as clients have them: signed, so that nobody makes up what sends all of their
//! reads to the primary.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use trellis_consistency::{MAX_LENGTH, Tokens};

/// What the key is made for, so that it is no other's.
const PURPOSE: &[u8] = b"trellis consistency token 1";
/// How much of the HMAC goes along, in bytes.
const TAG: usize = 16;
/// How long the text is at the most.
const MAX_TEXT: usize = (TAG + MAX_LENGTH) * 4 / 3 + 3;

pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(super) fn new(secret: &SecretString) -> Self {
        let key = keyed(secret.expose_secret().as_bytes()).chain_update(PURPOSE).finalize();
        Self(keyed(&key.into_bytes()))
    }

    pub(super) fn write(&self, tokens: &Tokens) -> String {
        let text = tokens.to_string();
        let tag = self.0.clone().chain_update(&text).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&tag[..TAG], text.as_bytes()].concat())
    }

    /// What a text says that was written under this key; `None` of any other.
    pub(super) fn read(&self, text: &[u8]) -> Option<Tokens> {
        if MAX_TEXT < text.len() {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, text) = bytes.split_at_checked(TAG)?;
        self.0.clone().chain_update(text).verify_truncated_left(tag).ok()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length will do")
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gateway_with_the_same_secret_wrote_is_believed() {
        let [ours, same, other] = ["secret", "secret", "other"].map(|s| Signer::new(&s.into()));
        let tokens: Tokens = "order/0:1:1A2B,user/0:1:7".parse().unwrap();

        let text = ours.write(&tokens);

        assert_eq!(same.read(text.as_bytes()), Some(tokens));
        assert_eq!(other.read(text.as_bytes()), None);
        for place in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(ours.read(&forged), None, "{place}");
        }
        for text in ["", "A", "order/0:1:1A2B", &text[..20], &"A".repeat(10_000)] {
            assert_eq!(ours.read(text.as_bytes()), None, "{text}");
        }
    }
}
