//! What to look for in the catalogue.

use std::str::FromStr;

/// The words of a search, at least one. The last one may be unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Vec<String>);

/// A text that is no search.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseWordsError {
    /// It is too long.
    #[error("must not be longer than {} characters", Words::LONGEST)]
    TooLong,
    /// It has nothing to look for, such as one that is only punctuation.
    #[error("must have a letter or a digit")]
    Nothing,
}

impl Words {
    /// In characters, of the text that they are parsed from.
    pub const LONGEST: usize = 200;

    /// The words, none of which is empty or has a control character or a space.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for Words {
    type Err = ParseWordsError;

    fn from_str(text: &str) -> Result<Self, ParseWordsError> {
        if text.chars().nth(Self::LONGEST).is_some() {
            return Err(ParseWordsError::TooLong);
        }
        // A control character is a space here: what is behind a NUL must not
        // be lost on its way to a store written in C.
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| word.chars().any(char::is_alphanumeric))
            .map(str::to_owned)
            .collect();
        if words.is_empty() { Err(ParseWordsError::Nothing) } else { Ok(Self(words)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_has_a_letter_or_a_digit() {
        let words: Words = " red\tMUG-350ML -- \u{0}\"x\" ".parse().unwrap();

        assert_eq!(words.iter().collect::<Vec<_>>(), ["red", "MUG-350ML", "\"x\""]);
    }

    #[test]
    fn a_text_without_words_or_without_end_is_refused() {
        assert_eq!("-- \" *".parse::<Words>(), Err(ParseWordsError::Nothing));
        assert_eq!("x".repeat(201).parse::<Words>(), Err(ParseWordsError::TooLong));
        assert!("x".repeat(200).parse::<Words>().is_ok());
    }
}
