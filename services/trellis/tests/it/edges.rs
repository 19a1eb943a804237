//! The table of edges in the documentation, which says what the code does.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use trellis_payment::processor::TARGET;
use trellis_resilience::policy::{Criticality, Hedge, Idempotency, MethodPolicy};
use trellis_trellis::edges::{self, Line};

const HEAD: &str = "\
| call | deadline | attempts | repeated | hedge | if refused | when it fails for good |
|---|---|---|---|---|---|---|
";

#[test]
fn the_table_of_edges_in_the_documentation_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/resilience.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(HEAD).expect("docs/resilience.md has the table");
    let written: String =
        rest.split_inclusive('\n').take_while(|row| row.starts_with('|')).collect();

    let expected = rows();
    assert!(written == expected, "in docs/resilience.md has to stand\n{HEAD}{expected}");
}

fn rows() -> String {
    let mut rows = String::new();
    for (edge, lines) in edges::all() {
        writeln!(rows, "| **`{edge}`** | | | | | | |").unwrap();
        for line in lines {
            writeln!(rows, "{}", row(&line)).unwrap();
        }
    }
    writeln!(rows, "| **`{TARGET}`** | | | | | | |").unwrap();
    let settings = trellis_payment::Settings::default();
    let timeout = Duration::from_secs(settings.processor_timeout_seconds);
    for (operation, fallback) in edges::processor_lines(timeout) {
        let (call, attempts) = (operation.name, operation.attempts);
        let deadline = operation.timeout.map_or_else(|| "inherited".to_owned(), time);
        let repeated = repeated(operation.idempotency);
        // It is called by closures, which know neither hedges nor criticality.
        writeln!(rows, "| `{call}` | {deadline} | {attempts} | {repeated} | - | - | {fallback} |")
            .unwrap();
    }
    rows
}

fn row(line: &Line) -> String {
    let Line { path, policy, fallback } = line;
    let (_, call) = path.rsplit_once('/').unwrap();
    let (deadline, hedge) = (deadline(policy), hedge(policy.hedge));
    let (repeated, refused) = (repeated(policy.idempotency), refused(policy.criticality));
    let attempts = policy.attempts;
    format!(
        "| `{call}` | {deadline} | {attempts} | {repeated} | {hedge} | {refused} | {fallback} |"
    )
}

fn deadline(policy: &MethodPolicy) -> String {
    policy.timeout.map_or_else(|| "inherited".to_owned(), time)
}

fn repeated(idempotency: Idempotency) -> &'static str {
    match idempotency {
        Idempotency::Safe => "safe",
        Idempotency::IdempotentWithKey => "by its key",
        Idempotency::Idempotent => "idempotent",
        Idempotency::NonIdempotent => "if unsent",
    }
}

fn hedge(hedge: Hedge) -> String {
    match hedge {
        Hedge::Never => "-".to_owned(),
        Hedge::AfterP95 { at_least } => format!("p95, {}", time(at_least)),
        Hedge::After(after) => time(after),
    }
}

fn refused(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::CriticalPlus => "last",
        Criticality::Critical => "late",
        Criticality::SheddablePlus => "early",
        Criticality::Sheddable => "first",
    }
}

fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}
