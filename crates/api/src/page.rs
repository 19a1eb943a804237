//! Pages of long lists, as AIP-158 has them.
//!
//! A page token is opaque and bound to the call that it continues. It is a
//! place in a list, never a permission: whoever decodes it checks again who asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::error::Violation;

/// How many entries a page may hold, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

impl PageSize {
    /// The most that a caller can ask for.
    pub const MAX: u32 = 100;

    /// Reads the field `page_size`; 0 asks for `default`.
    pub fn parse(wanted: i32, default: u32) -> Result<Self, Violation> {
        match u32::try_from(wanted) {
            Ok(0) => Ok(Self(default)),
            Ok(size) if size <= Self::MAX => Ok(Self(size)),
            _ => Err(Violation::new("page_size", format!("must be 0 to {}", Self::MAX))),
        }
    }

    /// The number of entries.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Makes the token that continues a list at `cursor`.
///
/// `kind` names the list, and `arguments` is whatever else must be the same on
/// the next call, such as the query.
pub fn encode<C: Serialize>(kind: &str, arguments: &str, cursor: &C) -> String {
    let cursor = serde_json::to_vec(cursor).expect("a cursor is plain data");
    let mut token = binding(kind, arguments, &cursor).to_vec();
    token.extend(cursor);
    URL_SAFE_NO_PAD.encode(token)
}

/// Reads a token; an empty one is the beginning of the list.
pub fn decode<C: DeserializeOwned>(
    kind: &str,
    arguments: &str,
    token: &str,
) -> Result<Option<C>, Violation> {
    if token.is_empty() {
        return Ok(None);
    }
    let refused = || {
        Violation::new(
            "page_token",
            "must be the next_page_token of a call with the same other fields",
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
    let (bound, cursor) = bytes.split_at_checked(BINDING).ok_or_else(refused)?;
    if bound != binding(kind, arguments, cursor) {
        return Err(refused());
    }
    serde_json::from_slice(cursor).map(Some).map_err(|_| refused())
}

const BINDING: usize = 8;

/// Ties a token to its call. It guards against mistakes, not against forgery.
fn binding(kind: &str, arguments: &str, cursor: &[u8]) -> [u8; BINDING] {
    let mut hash = Sha256::new();
    for part in [kind.as_bytes(), arguments.as_bytes(), cursor] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut binding = [0; BINDING];
    binding.copy_from_slice(&hash.finalize()[..BINDING]);
    binding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_continues_only_the_call_that_gave_it() {
        let token = encode("products", "mug", &("MUG-1", 7));

        let same: Option<(String, i32)> = decode("products", "mug", &token).unwrap();
        assert_eq!(same, Some(("MUG-1".to_owned(), 7)));
        assert!(decode::<(String, i32)>("products", "tea", &token).is_err());
        assert!(decode::<(String, i32)>("orders", "mug", &token).is_err());
    }

    #[test]
    fn garbage_is_refused_by_the_name_of_its_field() {
        for token in ["x", "%%%", "AAAAAAAAAAAAAAAA", &"A".repeat(4_000)] {
            let violation = decode::<String>("products", "", token).unwrap_err();
            assert_eq!(violation.field, "page_token");
        }
    }

    #[test]
    fn a_page_size_is_defaulted_when_zero_and_refused_when_out_of_range() {
        assert_eq!(PageSize::parse(0, 20).unwrap().get(), 20);
        assert_eq!(PageSize::parse(100, 20).unwrap().get(), 100);
        assert!(PageSize::parse(-1, 20).is_err());
        assert!(PageSize::parse(101, 20).is_err());
    }
}
