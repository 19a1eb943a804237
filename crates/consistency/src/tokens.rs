//! What one caller must see.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::Position;

/// Of how many databases there may be tokens; those of further ones are dropped, and reads
/// of these see what any replica has.
pub const MAX_TOKENS: usize = 64;
/// How long the text of tokens may be, in bytes: that of so many of the longest fits.
pub const MAX_LENGTH: usize = 8 + MAX_TOKENS * 104;
/// How long the name of a database may be in them, in bytes, as in Postgres.
const MAX_NAME: usize = 63;

/// The latest position of each database and shard that a caller must see.
///
/// As text, in the order of their names: `name/shard:timeline:place,…`, and `primary` in
/// front of a call that must see everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    positions: BTreeMap<Box<str>, Position>,
    is_strict: bool,
}

/// How a call says that it must see everything.
const STRICT: &str = "primary";

/// A text that is not that of [`Tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens are given as name/shard:timeline:place, with commas in between")]
pub struct TokensError;

impl Tokens {
    /// The key under which a shard of a database has its token. Letters that do not fit
    /// become `_`: two databases that share a key because of this, or because they share
    /// a name, only ask for more than they need.
    pub fn key(database: &str, shard: u32) -> Box<str> {
        let letters = database.chars().map(|letter| if is_plain(letter) { letter } else { '_' });
        let name: String = letters.take(MAX_NAME).collect();
        format!("{name}/{shard}").into()
    }

    /// Whether there is nothing that must be seen.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && !self.is_strict
    }

    /// Whether all that was ever committed must be seen, in every database.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// The same, for a call that decides a write: it must see everything.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// What must be seen of a database; `None` if that does not matter.
    pub fn get(&self, key: &str) -> Option<Position> {
        self.positions.get(key).copied()
    }

    /// `position` must be seen, too. What must be seen already stays.
    pub fn note(&mut self, key: &str, position: Position) {
        if let Some(known) = self.positions.get_mut(key) {
            *known = position.max(*known);
        } else if self.positions.len() < MAX_TOKENS {
            self.positions.insert(key.into(), position);
        }
    }

    /// All of `other` must be seen, too. That it is strict is a matter of its own call.
    pub fn merge(&mut self, other: &Self) {
        for (key, position) in &other.positions {
            self.note(key, *position);
        }
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

fn is_key(key: &str) -> bool {
    let Some((name, shard)) = key.split_once('/') else { return false };
    (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(is_plain)
        && shard.bytes().all(|byte| byte.is_ascii_digit())
        && shard.parse::<u32>().is_ok()
}

impl fmt::Display for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if self.is_strict {
            formatter.write_str(STRICT)?;
            comma = ",";
        }
        for (key, position) in &self.positions {
            write!(formatter, "{comma}{key}:{position}")?;
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for Tokens {
    type Err = TokensError;

    fn from_str(text: &str) -> Result<Self, TokensError> {
        let mut tokens = Self::default();
        if text.is_empty() {
            return Ok(tokens);
        }
        if MAX_LENGTH < text.len() || MAX_TOKENS < text.matches(',').count() {
            return Err(TokensError);
        }
        for token in text.split(',') {
            if token == STRICT && tokens.is_empty() {
                tokens.is_strict = true;
                continue;
            }
            if tokens.positions.len() == MAX_TOKENS {
                return Err(TokensError);
            }
            let (key, position) = token.split_once(':').ok_or(TokensError)?;
            if !is_key(key) {
                return Err(TokensError);
            }
            tokens.note(key, position.parse().map_err(|()| TokensError)?);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    fn any_tokens() -> impl Strategy<Value = Tokens> {
        let token = ("[a-z]{1,6}", 0..4_u32, any::<u32>(), any::<u64>());
        (any::<bool>(), collection::vec(token, 0..12)).prop_map(|(is_strict, all)| {
            let mut tokens = Tokens { is_strict, ..Tokens::default() };
            for (name, shard, timeline, lsn) in all {
                tokens.note(&Tokens::key(&name, shard), Position { timeline, lsn });
            }
            tokens
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tokens in any_tokens()) {
            prop_assert_eq!(tokens.to_string().parse(), Ok(tokens));
        }

        #[test]
        fn merging_asks_for_the_later_of_each_in_whatever_order(
            one in any_tokens(),
            other in any_tokens(),
        ) {
            let (mut ours, mut theirs) = (one.clone(), other.clone());
            ours.merge(&other);
            theirs.merge(&one);
            prop_assert_eq!(&ours.positions, &theirs.positions);
            prop_assert_eq!(ours.is_strict, one.is_strict);
            for tokens in [one, other] {
                for (key, position) in tokens.positions {
                    prop_assert!(position <= ours.get(&key).unwrap());
                }
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,80}") {
            if let Ok(tokens) = text.parse::<Tokens>() {
                prop_assert_eq!(tokens.to_string().parse(), Ok(tokens));
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            "order",
            "order/0",
            "order/0:1",
            "/0:1:A",
            "order/x:1:A",
            "order/0:1:G",
            "order/0:1:A,",
            "order/0:+1:A",
            "or der/0:1:A",
            "order/0:1:A:B",
        ] {
            assert_eq!(text.parse::<Tokens>(), Err(TokensError), "{text}");
        }
        let many: Vec<_> = (0..=MAX_TOKENS).map(|shard| format!("order/{shard}:1:A")).collect();
        assert_eq!(many.join(",").parse::<Tokens>(), Err(TokensError));
        assert!(many[1..].join(",").parse::<Tokens>().is_ok());
    }

    #[test]
    fn as_many_as_there_may_be_of_the_longest_are_read_again() {
        let mut tokens = Tokens::default();
        for shard in 0..100 {
            let key = Tokens::key(&"x".repeat(100), u32::MAX - shard);
            tokens.note(&key, Position { timeline: u32::MAX, lsn: u64::MAX });
        }
        let tokens = tokens.strict();
        assert_eq!(tokens.to_string().parse(), Ok(tokens));
    }

    #[test]
    fn a_key_is_plain_whatever_the_database_is_called() {
        assert_eq!(&*Tokens::key("order", 3), "order/3");
        let odd = Tokens::key("a,b:c/d é", 0);
        assert_eq!(&*odd, "a_b_c_d__/0");
        assert!(is_key(&odd) && is_key(&Tokens::key(&"x".repeat(200), u32::MAX)));
    }
}
