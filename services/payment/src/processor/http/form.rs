//! `application/x-www-form-urlencoded`, as the URL standard has it.

use std::fmt::Write as _;

/// Encodes the fields of a form, or of a query.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (index, (name, value)) in fields.iter().enumerate() {
        if index != 0 {
            text.push('&');
        }
        encode(&mut text, name, form_letter);
        text.push('=');
        encode(&mut text, value, form_letter);
    }
    text
}

/// Encodes one segment of a path.
pub(super) fn segment(value: &str) -> String {
    let mut text = String::new();
    encode(&mut text, value, |byte| match byte {
        b'-' | b'_' | b'~' => Some(byte.into()),
        _ if byte.is_ascii_alphanumeric() => Some(byte.into()),
        // A segment of dots alone would walk up the path.
        _ => None,
    });
    text
}

fn form_letter(byte: u8) -> Option<char> {
    match byte {
        b' ' => Some('+'),
        b'*' | b'-' | b'.' | b'_' => Some(byte.into()),
        _ if byte.is_ascii_alphanumeric() => Some(byte.into()),
        _ => None,
    }
}

fn encode(text: &mut String, value: &str, letter: impl Fn(u8) -> Option<char>) {
    for byte in value.bytes() {
        match letter(byte) {
            Some(letter) => text.push(letter),
            None => write!(text, "%{byte:02X}").expect("a String takes whatever is written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_value_holds_it_stays_one_value() {
        let fields = [("metadata[id]", "a&b=c d+é"), ("empty", "")];

        assert_eq!(form(&fields), "metadata%5Bid%5D=a%26b%3Dc+d%2B%C3%A9&empty=");
    }

    #[test]
    fn a_segment_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("pi_1-A~"), "pi_1-A~");
        assert_eq!(segment("../x?y#z%"), "%2E%2E%2Fx%3Fy%23z%25");
    }
}
