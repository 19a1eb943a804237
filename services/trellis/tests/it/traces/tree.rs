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

/// What the tree of a fleet is where one process runs all services.
pub(crate) fn of_one_process(tree: &str) -> String {
    let line = |line: &str| {
        let (indent, words) = line.split_at(line.len() - line.trim_start().len());
        let (_, rest) = words.split_once(' ').unwrap();
        format!("{indent}trellis {rest}\n")
    };
    tree.lines().map(line).collect()
}
