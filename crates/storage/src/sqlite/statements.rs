//! The statements of a unit of work as spans, for whoever asks for them.
//!
//! They tell the text of a statement as it was prepared. That has places for values
//! and never the values, which can be personal.

use std::{cell::RefCell, path::Path};

use rusqlite::{
    Connection,
    trace::{TraceEvent, TraceEventCodes},
};
use tracing::{Level, Span};

use super::meters::{self, SYSTEM};

mod summary;

thread_local! {
    /// Those of the unit that this thread does. SQLite's hook can hold no state.
    static RUNNING: RefCell<Running> = const {
        RefCell::new(Running { namespace: None, statements: Vec::new() })
    };
}

struct Running {
    namespace: Option<Box<str>>,
    /// By their texts. Several can be under way, as a loop over rows does with them.
    statements: Vec<(Box<str>, Span)>,
}

/// Makes spans of the statements of a connection until it is dropped.
struct Hook<'c>(&'c Connection);

/// Does `work`, whose statements on `connection` are spans if they are wanted
/// (`TRELLIS_TRACE=trellis_storage=trace`). Else it costs a look at the level.
pub(super) fn traced<T>(connection: &Connection, work: impl FnOnce() -> T) -> T {
    let is_wanted = tracing::span_enabled!(Level::TRACE, "db.system.name", "db.query.text");
    let _hook = is_wanted.then(|| Hook::new(connection));
    work()
}

impl<'c> Hook<'c> {
    fn new(connection: &'c Connection) -> Self {
        let namespace = connection.path().map(|path| meters::namespace(Path::new(path)));
        RUNNING.with_borrow_mut(|running| running.namespace = namespace);
        let events = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_PROFILE;
        connection.trace_v2(events, Some(hear));
        Self(connection)
    }
}

impl Drop for Hook<'_> {
    fn drop(&mut self) {
        self.0.trace_v2(TraceEventCodes::empty(), None);
        RUNNING.with_borrow_mut(|running| running.statements.clear());
    }
}

fn hear(event: TraceEvent<'_>) {
    match event {
        // Otherwise it is a trigger, a part of the statement that fired it.
        TraceEvent::Stmt(statement, text) if statement.sql() == text => begin(text),
        TraceEvent::Profile(statement, _) => end(&statement.sql()),
        _ => {}
    }
}

fn begin(text: &str) {
    RUNNING.with_borrow_mut(|running| {
        let span = span(text, running.namespace.as_deref());
        running.statements.push((text.into(), span));
    });
}

fn end(text: &str) {
    RUNNING.with_borrow_mut(|running| {
        let statements = &mut running.statements;
        if let Some(last) = statements.iter().rposition(|(begun, _)| **begun == *text) {
            statements.remove(last);
        }
    });
}

/// It lasts as long as it is kept and is never entered, so the next statement is not a
/// part of it.
fn span(text: &str, namespace: Option<&str>) -> Span {
    let summary = summary::of(text);
    tracing::trace_span!(
        "statement",
        otel.kind = "client",
        otel.name = %summary,
        "db.system.name" = SYSTEM,
        "db.namespace" = namespace,
        "db.query.summary" = %summary,
        "db.query.text" = text.trim(),
    )
}
