//! What is wrong with the settings, said so that it can be put right.

use figment::Error;
use figment::error::Kind;

/// The source of the value that is refused, if it is there but should be text.
pub(super) fn wants_text(error: &Error) -> Option<&str> {
    match &error.kind {
        Kind::InvalidType(_, expected) if expected.contains("string") => source(error),
        _ => None,
    }
}

/// Every problem in one message, a line each.
pub(super) fn explain(error: Error) -> anyhow::Error {
    let lines: Vec<_> = error.into_iter().map(|error| line(&error)).collect();
    anyhow::anyhow!(lines.join("\n"))
}

fn line(error: &Error) -> String {
    let key = error.path.join(".");
    let place = source(error).map(|name| format!(" in {name}")).unwrap_or_default();
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let key = if key.is_empty() { name } else { &key };
            format!("unknown setting {key}{place}{}", advice(name, known))
        }
        Kind::UnknownVariant(value, known) => {
            format!("the setting {key}{place} cannot be {value}{}", advice(value, known))
        }
        // The kinds tell the value, which could be a secret: only what is wanted is said.
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("the setting {key}{place} must be {expected}")
        }
        Kind::InvalidLength(_, expected) => {
            format!("the setting {key}{place} must have {expected}")
        }
        Kind::MissingField(name) if key.is_empty() => format!("the setting {name} is missing"),
        Kind::MissingField(name) => format!("the setting {key}.{name} is missing"),
        kind if key.is_empty() => format!("the settings{place} are not valid: {kind}"),
        kind => format!("the setting {key}{place} is not valid: {kind}"),
    }
}

fn source(error: &Error) -> Option<&str> {
    error.metadata.as_ref().map(|metadata| metadata.name.as_ref())
}

/// The known name that was probably meant, or all where none is near.
fn advice(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .min();
    match near {
        Some((_, candidate)) => format!(": did you mean {candidate}?"),
        None if known.is_empty() => String::new(),
        None => format!(": known are {}", known.join(", ")),
    }
}

/// Levenshtein's distance in bytes; a row of the table at a time.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_letters_to_change() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("listn", "listen"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
