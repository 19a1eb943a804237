//! Units of work and their statements as spans, as a collector gets them.
//!
//! The writer and the blocking threads see the process's own subscriber only, so all
//! tests share one, and each looks at the traces that it began.

use std::{sync::LazyLock, time::Duration};

use tokio::runtime::Runtime;
use tracing::{Instrument as _, Span, info_span};
use trellis_storage::{Error, Faults, Sqlite, When};
use trellis_telemetry::{
    Export, Scope, Settings, Telemetry,
    propagation::{self, Remote},
    receiver::{Received, Receiver, SpanKind},
};

use super::{Bench, gate, insert, note, notes, texts};

/// Longer than anything here may take; nothing waits for it but a failure.
const PATIENCE: Duration = Duration::from_secs(30);

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What must not leave the process.
const SECRET: &str = "ada@example.com";

struct Process {
    receiver: Receiver,
    _telemetry: Telemetry,
    _runtime: Runtime,
}

/// It exports statements too, and soon.
static PROCESS: LazyLock<Process> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (receiver, telemetry) = runtime.block_on(async {
        let receiver = Receiver::start().await.unwrap();
        let delay = Duration::from_millis(10);
        let export = Some(Export { delay, ..Export::to(receiver.endpoint()) });
        let spans = Some("trellis_storage=trace,debug".parse().unwrap());
        let settings = Settings { export, spans, ..Settings::default() };
        (receiver, trellis_telemetry::start("test", &settings).unwrap())
    });
    Process { receiver, _telemetry: telemetry, _runtime: runtime }
});

/// Sets up the process. Called on no runtime's thread, since it blocks.
async fn start() {
    tokio::task::spawn_blocking(|| LazyLock::force(&PROCESS)).await.unwrap();
}

fn call() -> Span {
    info_span!(target: "trellis_test", parent: None, "call", otel.kind = "server")
}

/// The spans of the trace of `call`, which is over with this.
async fn spans_of(call: Span) -> Vec<Received> {
    let trace_id = propagation::trace_id(&call).unwrap().to_string();
    drop(call);
    let is_over = |span: &Received| span.trace_id == trace_id && span.name == "call";
    let arrived = PROCESS.receiver.wait_for(|spans| spans.iter().any(is_over));
    let spans = tokio::time::timeout(PATIENCE, arrived).await.expect("the call is exported");
    spans.into_iter().filter(|span| span.trace_id == trace_id).collect()
}

fn named<'a>(spans: &'a [Received], name: &str) -> &'a Received {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span `{name}` in {spans:#?}"));
    assert_eq!(found.next(), None, "more than one span `{name}`");
    span
}

/// A span's name with that of its parent.
fn edges(spans: &[Received]) -> Vec<(&str, &str)> {
    let parent = |of: &Received| spans.iter().find(|span| span.span_id == of.parent);
    let edge = |span| (parent(span).map_or("", |span| &*span.name), &*span.name);
    let mut edges: Vec<_> = spans.iter().map(edge).collect();
    edges.sort_unstable();
    edges
}

async fn open() -> (Bench, Sqlite) {
    start().await;
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    (bench, sqlite)
}

#[tokio::test]
async fn units_of_work_are_calls_below_their_caller_with_statements_below_them() {
    let (_bench, sqlite) = open().await;
    let call = call();

    let work = async {
        note(&sqlite, "kept").await.unwrap();
        notes(&sqlite).await;
        sqlite.look_up(texts).await.unwrap();
    };
    work.instrument(call.clone()).await;

    let spans = spans_of(call).await;
    let expected = [
        ("", "call"),
        ("call", "look_up notes"),
        ("call", "read notes"),
        ("call", "write notes"),
        ("look_up notes", "SELECT notes"),
        ("read notes", "SELECT notes"),
        ("write notes", "INSERT notes"),
    ];
    assert_eq!(edges(&spans), expected);
    let write = named(&spans, "write notes");
    assert_eq!((write.kind, &write.error), (SpanKind::Client, &None));
    let expected =
        [("db.namespace", "notes"), ("db.operation.name", "write"), ("db.system.name", "sqlite")];
    assert_eq!(attributes(write), expected);
}

fn attributes(span: &Received) -> Vec<(&str, &str)> {
    span.attributes.iter().map(|(key, value)| (&**key, &**value)).collect()
}

#[tokio::test]
async fn a_statement_shows_its_text_and_never_its_values() {
    let (_bench, sqlite) = open().await;
    let call = call();

    note(&sqlite, SECRET).instrument(call.clone()).await.unwrap();
    let found = sqlite.look_up(|tx| {
        let sql = "SELECT count(*) FROM notes WHERE text = ?1";
        Ok::<i64, Error>(tx.query_row(sql, [SECRET], |row| row.get(0))?)
    });
    assert_eq!(found.instrument(call.clone()).await.unwrap(), 1);

    let spans = spans_of(call).await;
    let insert = named(&spans, "INSERT notes");
    let expected = [
        ("db.namespace", "notes"),
        ("db.query.summary", "INSERT notes"),
        ("db.query.text", "INSERT INTO notes (text) VALUES (?1)"),
        ("db.system.name", "sqlite"),
    ];
    assert_eq!(attributes(insert), expected);
    assert_eq!(insert.kind, SpanKind::Client);
    assert!(named(&spans, "SELECT notes").attributes["db.query.text"].ends_with("?1"));
    assert!(!format!("{spans:?}").contains(SECRET));
}

#[tokio::test]
async fn statements_within_a_loop_over_rows_are_parts_of_the_unit() {
    let (_bench, sqlite) = open().await;
    let call = call();

    let work = sqlite.write(|tx| {
        let mut rows = tx.prepare_cached("SELECT value FROM json_each('[\"a\", \"b\"]')")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            insert(tx, &row.get::<_, String>(0)?)?;
        }
        Ok::<_, Error>(())
    });
    work.instrument(call.clone()).await.unwrap();

    let spans = spans_of(call).await;
    let expected = [
        ("", "call"),
        ("call", "write notes"),
        ("write notes", "INSERT notes"),
        ("write notes", "INSERT notes"),
        ("write notes", "SELECT json_each"),
    ];
    assert_eq!(edges(&spans), expected);
}

#[tokio::test]
async fn nothing_is_made_outside_of_a_sampled_trace() {
    let (_bench, sqlite) = open().await;
    let before = PROCESS.receiver.spans().len();
    let unsampled = call();
    propagation::set_parent(&unsampled, &Remote::parse(UNSAMPLED).unwrap());
    let work = async {
        note(&sqlite, "unsampled").await.unwrap();
        notes(&sqlite).await;
        sqlite.look_up(texts).await.unwrap();
    };
    work.instrument(unsampled).await;
    note(&sqlite, "outside").await.unwrap();
    sqlite.look_up(texts).await.unwrap();

    // What ended before it has been exported before it.
    let after = call();
    note(&sqlite, "sampled").instrument(after.clone()).await.unwrap();
    let sampled = spans_of(after).await;
    assert_eq!(named(&sampled, "write notes").parent, named(&sampled, "call").span_id);

    let spans = PROCESS.receiver.spans();
    let unsampled = Remote::parse(UNSAMPLED).unwrap().trace_id().to_string();
    assert!(spans.iter().all(|span| span.trace_id != unsampled));
    let roots = spans[before..].iter().filter(|span| span.parent.is_empty());
    assert!(roots.clone().all(|span| span.name == "call"), "{:?}", roots.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_unit_of_a_call_that_nobody_samples_has_its_ids_wherever_it_runs() {
    let (_bench, sqlite) = open().await;
    let caller = Remote::parse(UNSAMPLED);
    let call = Scope::of_call(caller.as_ref(), "trellis_test", || unreachable!("no span"));
    let trace = call.remote();
    assert_eq!(trace.as_ref().map(Remote::trace_id), caller.as_ref().map(Remote::trace_id));

    let work = async {
        let written = sqlite.write(|_| Ok::<_, Error>(Remote::current())).await.unwrap();
        let read = sqlite.read(|_| Ok::<_, Error>(Remote::current())).await.unwrap();
        [written, read]
    };

    assert_eq!(call.around(work).await, [trace.clone(), trace]);
}

#[tokio::test]
async fn units_of_two_traces_in_one_commit_have_a_span_each() {
    let (bench, sqlite) = open().await;
    let (go, held) = gate(&sqlite);
    let [one, two] = [call(), call()];

    let writes = [("one", &one), ("two", &two)]
        .map(|(text, call)| note(&sqlite, text).instrument(call.clone()));
    let [first, second] = writes;
    let ((), first, second, ()) = tokio::join!(held, first, second, async {
        go.send(()).unwrap();
    });
    first.unwrap();
    second.unwrap();

    assert_eq!(bench.faults.commits(), 1);
    for call in [one, two] {
        let expected = [("", "call"), ("call", "write notes"), ("write notes", "INSERT notes")];
        assert_eq!(edges(&spans_of(call).await), expected);
    }
}

#[tokio::test]
async fn a_failure_of_storage_is_told_and_a_refusal_is_none() {
    let (_bench, sqlite) = open().await;
    let (failed, refused) = (call(), call());

    let work = sqlite.look_up(|tx| Ok::<_, Error>(tx.execute_batch("SELECT nothing")?));
    work.instrument(failed.clone()).await.unwrap_err();
    note(&sqlite, "refused").instrument(refused.clone()).await.unwrap_err();

    let spans = spans_of(failed).await;
    let span = named(&spans, "look_up notes");
    assert_eq!(span.attributes["error.type"], "statement");
    assert!(span.error.is_some());
    let spans = spans_of(refused).await;
    let span = named(&spans, "write notes");
    assert_eq!((span.attributes.get("error.type"), &span.error), (None, &None));
}

#[tokio::test]
async fn a_unit_whose_commit_fails_is_a_failure_though_it_did_its_work() {
    start().await;
    let bench = Bench::new(Faults::crash(1, When::BeforeCommit));
    let sqlite = bench.open();
    let call = call();

    note(&sqlite, "lost").instrument(call.clone()).await.unwrap_err();

    let spans = spans_of(call).await;
    let write = named(&spans, "write notes");
    assert_eq!(write.attributes["error.type"], "closed");
    assert!(write.error.is_some());
    assert_eq!(named(&spans, "INSERT notes").parent, write.span_id);
}

#[tokio::test]
async fn a_trigger_is_a_part_of_its_statement() {
    let (_bench, sqlite) = open().await;
    let trigger = sqlite.write(|tx| {
        let sql = "
            CREATE TRIGGER copy AFTER INSERT ON notes WHEN new.text = 'a'
            BEGIN INSERT INTO notes VALUES ('b'); END
        ";
        Ok::<_, Error>(tx.execute_batch(sql)?)
    });
    trigger.await.unwrap();
    let call = call();

    sqlite.write(|tx| insert(tx, "a")).instrument(call.clone()).await.unwrap();

    assert_eq!(notes(&sqlite).await, ["a", "b"]);
    let spans = spans_of(call).await;
    assert_eq!(named(&spans, "INSERT notes").parent, named(&spans, "write notes").span_id);
    assert_eq!(spans.len(), 3);
}
