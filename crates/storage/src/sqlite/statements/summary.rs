//! A statement in two words, few enough to group by.

/// What it does and to which table, such as `INSERT orders`. Of a statement that is
/// about no table, or about none that has a name, only the first.
pub(super) fn of(sql: &str) -> String {
    let words: Vec<&str> = words(sql).collect();
    let Some(at) = verb(&words) else {
        return words.first().copied().unwrap_or_default().to_ascii_uppercase();
    };
    let (verb, rest) = (words[at].to_ascii_uppercase(), &words[at..]);
    match table(&verb, rest).filter(|table| is_name(table)) {
        Some(table) => format!("{verb} {table}"),
        None => verb,
    }
}

/// Where it says what is done to a table. What stands in parentheses is not what the
/// statement does, as behind `WITH`.
fn verb(words: &[&str]) -> Option<usize> {
    const VERBS: [&str; 5] = ["DELETE", "INSERT", "REPLACE", "SELECT", "UPDATE"];
    let mut depth = 0_i32;
    words.iter().position(|word| {
        depth += i32::from(*word == "(") - i32::from(*word == ")");
        depth == 0 && VERBS.iter().any(|verb| word.eq_ignore_ascii_case(verb))
    })
}

/// What stands where the name of the table should.
fn table<'a>(verb: &str, words: &[&'a str]) -> Option<&'a str> {
    let before = match verb {
        "INSERT" | "REPLACE" => "INTO",
        "UPDATE" => "UPDATE",
        _ => "FROM",
    };
    let mut rest = words.iter().skip_while(|word| !word.eq_ignore_ascii_case(before)).skip(1);
    let next = rest.next().copied()?;
    // `UPDATE OR IGNORE orders`
    let is_name = verb != "UPDATE" || !next.eq_ignore_ascii_case("OR");
    if is_name { Some(next) } else { rest.nth(1).copied() }
}

/// Names and words, and single characters of what is neither.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    sql.split_whitespace().flat_map(move |text| {
        let mut rest = text;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let length = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length.max(first.len_utf8()));
            rest = after;
            Some(word)
        })
    })
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_verb_and_the_table() {
        for (sql, summary) in [
            ("SELECT text FROM notes ORDER BY text", "SELECT notes"),
            ("\n  insert into outbox(event_id)\n VALUES (?1)", "INSERT outbox"),
            ("INSERT OR IGNORE INTO main.inbox VALUES (?1)", "INSERT main.inbox"),
            ("UPDATE OR FAIL leases SET owner = NULL", "UPDATE leases"),
            ("UPDATE carts SET total = (SELECT sum(price) FROM lines)", "UPDATE carts"),
            ("DELETE FROM inbox WHERE id IN (SELECT id FROM old)", "DELETE inbox"),
            ("SELECT EXISTS (SELECT 1 FROM stock WHERE sku = ?1)", "SELECT stock"),
            ("SELECT count(*) FROM (SELECT 1)", "SELECT"),
            ("SELECT total_changes()", "SELECT"),
            ("WITH due AS (SELECT id FROM jobs) DELETE FROM jobs", "DELETE jobs"),
            ("PRAGMA synchronous", "PRAGMA"),
            ("savepoint step", "SAVEPOINT"),
            ("", ""),
        ] {
            assert_eq!(of(sql), summary, "{sql}");
        }
    }
}
