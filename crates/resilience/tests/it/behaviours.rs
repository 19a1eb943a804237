//! Each behaviour that the README promises has a test, and each test that it names
//! exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const BEHAVIOURS: u32 = 48;

pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table: the number, and the name and the file of each test.
fn rows(readme: &str) -> Vec<(u32, Vec<(&str, &str)>)> {
    let row = |line| {
        let cells: Vec<&str> = str::split(line, " | ").collect();
        let [number, _, tests] = cells[..] else { return None };
        let number = number.strip_prefix("| ")?.parse().ok()?;
        Some((number, links(tests)))
    };
    readme.lines().filter_map(row).collect()
}

/// The tests in the last cell of a row: the name and the file of each.
pub(crate) fn links(cell: &str) -> Vec<(&str, &str)> {
    let tests = cell.trim_end_matches(" |").split(", ").map(|test| {
        let link = test.strip_prefix("[`").and_then(|test| test.strip_suffix(')'));
        link.and_then(|link| link.split_once("`]("))
            .unwrap_or_else(|| panic!("{test} is not a link to a test"))
    });
    tests.collect()
}

/// Whether there is a test of this name in `source` with the line `mark` above it.
pub(crate) fn has_test(source: &str, name: &str, mark: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let is_head = |line: &&str| line.strip_prefix("async ").unwrap_or(line).starts_with(&head);
    let Some(at) = lines.iter().position(is_head) else { return false };
    let above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
    let above: Vec<&str> = above.copied().collect();
    above.contains(&mark)
        && above.iter().any(|line| line.starts_with("#[") && line.contains("test"))
}

#[test]
fn each_behaviour_has_a_test_and_each_test_exists() {
    let readme = read("README.md");
    let rows = rows(&readme);

    let numbers: BTreeSet<u32> = rows.iter().map(|(number, _)| *number).collect();
    let missing: Vec<u32> = (1..=BEHAVIOURS).filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let named =
        rows.iter().flat_map(|(number, tests)| tests.iter().map(move |test| (number, test)));
    let is_gone = |(number, (name, file)): &(&u32, &(&str, &str))| {
        !has_test(&read(file), name, &format!("/// Behaviour {number}."))
    };
    let gone: Vec<_> = named.filter(is_gone).collect();
    assert!(gone.is_empty(), "no such tests: {gone:#?}");
}
