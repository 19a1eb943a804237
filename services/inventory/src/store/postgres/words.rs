//! The words of products and of searches, as Postgres compares them.
//!
//! They are found here and not by a configuration of the server's text search, whose
//! words would depend on what is installed there. What a word is, is what SQLite's
//! tokenizer `unicode61 remove_diacritics 2` takes for one, with the additions that the
//! letters of a case are folded in full (`ß` is `ss`), and that vowel signs, which are
//! marks in many scripts, do not end a word.

use trellis_api::Sku;
use unicode_normalization::UnicodeNormalization as _;

use crate::domain::{Title, Words};

/// The text of a `tsvector`: the words of the title and of the SKU, with their places.
/// No phrase goes over from one to the other.
pub(super) fn document(title: &Title, sku: &Sku) -> String {
    let title: Vec<String> = words(title.as_str()).collect();
    let gap = title.len() + 2;
    let placed = (1..).zip(title).chain((gap..).zip(words(sku.as_str())));
    let placed: Vec<String> = placed.map(|(place, word)| format!("'{word}':{place}")).collect();
    placed.join(" ")
}

/// The text of a `tsquery`: all of the words, the last one as a prefix.
///
/// What is one word to whoever types it may be several here: `MUG-350ML` is a phrase of
/// two. `None` where nothing is a word here.
pub(super) fn query(typed: &Words) -> Option<String> {
    let phrase =
        |text| words(text).map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" <-> ");
    let phrases: Vec<String> =
        typed.iter().map(phrase).filter(|phrase| !phrase.is_empty()).collect();
    (!phrases.is_empty()).then(|| phrases.join(" & ") + ":*")
}

/// Letters and digits, without case and diacritics. So there is nothing to be quoted.
fn words(text: &str) -> impl Iterator<Item = String> {
    let folded: String = text
        .nfd()
        .filter(|letter| !is_diacritic(*letter))
        // There and back: several small letters, such as both sigmas, share a capital one.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|letter| !is_diacritic(*letter))
        .collect();
    let words: Vec<String> = folded
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

/// The block of combining diacritical marks.
fn is_diacritic(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn a_document_has_the_places_of_its_words_and_a_gap_before_the_sku() {
        let title = "Red mug, red lid".parse().unwrap();

        let document = document(&title, &"MUG-350ML".parse().unwrap());

        assert_eq!(document, "'red':1 'mug':2 'red':3 'lid':4 'mug':6 '350ml':7");
    }

    #[test]
    fn a_query_has_all_words_and_the_last_one_may_be_unfinished() {
        let query = |text: &str| query(&text.parse().unwrap());

        assert_eq!(query("red MUG-350ML").unwrap(), "'red' & 'mug' <-> '350ml':*");
        assert_eq!(query("t-light a").unwrap(), "'t' <-> 'light' & 'a':*");
        assert_eq!(query("\u{345}"), None);
    }

    #[test]
    fn case_and_diacritics_make_no_difference() {
        assert_eq!(folded("Crème cre\u{300}me CREME"), ["creme", "creme", "creme"]);
        assert_eq!(folded("İSTANBUL"), ["istanbul"]);
        assert_eq!(folded("ΣΟΦΌΣ"), folded("σοφος"));
        assert_eq!(folded("Straße"), folded("STRASSE"));
    }

    #[test]
    fn what_is_quoted_needs_no_escaping() {
        for letter in "'\\:*&|!<>() \"\u{0}".chars() {
            assert_eq!(folded(&format!("a{letter}b")), ["a", "b"], "{letter:?}");
        }
    }

    #[test]
    fn no_word_of_a_title_is_longer_than_a_lexeme_may_be() {
        // Three letters of three bytes each come of a syllable, more than of any other.
        assert!(folded(&"힣".repeat(200))[0].len() < 2_047);
    }
}
