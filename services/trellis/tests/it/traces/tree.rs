//! A trace as a text: a line for each span, further in than its parent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use trellis_telemetry::receiver::Received;

/// All spans of a trace but calls to databases, siblings by kind and name. A span whose
/// parent is not there begins a tree of its own, which makes it seen.
pub(crate) fn tree(spans: &[Received], trace_id: &str) -> String {
    let spans: Vec<&Received> = spans.iter().filter(|span| span.trace_id == trace_id).collect();
    let mut children: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
    for span in spans.iter().filter(|span| !is_database(span)) {
        children.entry(parent(span, &spans)).or_default().push(span);
    }
    let mut text = String::new();
    write(&children, "", 0, &mut text);
    text
}

/// Whether it is a call to a database. How many of them something takes is its own
/// affair.
pub(crate) fn is_database(span: &Received) -> bool {
    span.attributes.contains_key("db.system.name")
}

/// Of what is told in a transaction, such as an event, the parent is who made that.
fn parent<'a>(span: &Received, spans: &[&'a Received]) -> &'a str {
    match spans.iter().find(|other| other.span_id == span.parent) {
        Some(database) if is_database(database) => parent(database, spans),
        Some(parent) => &parent.span_id,
        None => "",
    }
}

fn write(children: &BTreeMap<&str, Vec<&Received>>, of: &str, depth: usize, text: &mut String) {
    let mut lines: Vec<(String, &str)> = children
        .get(of)
        .into_iter()
        .flatten()
        .map(|span| {
            let kind = format!("{:?}", span.kind).to_lowercase();
            (format!("{} {kind} {}", span.service, span.name), span.span_id.as_str())
        })
        .collect();
    lines.sort();
    for (line, id) in lines {
        let _ = writeln!(text, "{:indent$}{line}", "", indent = 2 * depth);
        write(children, id, depth + 1, text);
    }
}

/// What the tree of a fleet is where one process runs all services: a call inside of it
/// has no span on the caller's side.
pub(crate) fn of_one_process(tree: &str) -> String {
    let mut lines = tree.lines().peekable();
    let mut text = String::new();
    print(branches(&mut lines, 0), 0, &mut text);
    text
}

/// A line, and those below it.
struct Branch(String, Vec<Branch>);

/// Reads lines that are so far in, and what is below them.
fn branches<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    depth: usize,
) -> Vec<Branch> {
    let mut found = Vec::new();
    while let Some(line) = lines.next_if(|line| line.len() - line.trim_start().len() == 2 * depth) {
        let (_, words) = line.trim_start().split_once(' ').unwrap();
        let below = branches(lines, depth + 1);
        if words.starts_with("client ") && words.contains('/') {
            found.extend(below);
        } else {
            found.push(Branch(format!("trellis {words}"), below));
        }
    }
    found
}

fn print(mut branches: Vec<Branch>, depth: usize, text: &mut String) {
    branches.sort_by(|one, other| one.0.cmp(&other.0));
    for Branch(line, below) in branches {
        let _ = writeln!(text, "{:indent$}{line}", "", indent = 2 * depth);
        print(below, depth + 1, text);
    }
}
