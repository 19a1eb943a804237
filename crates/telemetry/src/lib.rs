//! Telemetry: traces, metrics and logs of a process, set up in one call, and the trace
//! context that follows a request through calls and events.
//!
//! [`start`] installs the process's `tracing` subscriber. Logs go to standard
//! error; spans of Trellis's own crates go to an OpenTelemetry collector, if
//! [`Settings`] name one. Where none is named, traces still have ids, so that
//! logs, answers and peers can speak of them.
//!
//! # What becomes an OpenTelemetry span
//!
//! A `tracing` span whose target is a crate of Trellis (`trellis_…`) and whose
//! level [`Settings::spans`] let through. Under a parent that is not sampled,
//! only spans at `info` with the field `otel.kind` are still made, because they may
//! take a parent from elsewhere ([`propagation::set_parent`]); all others cost next
//! to nothing: they are not made at all, and what leaves the process in one tells of
//! the nearest span that was. So a span that enters the process, is taken to another
//! task, or begins a trace of its own is at `info` and says its kind: `server`,
//! `consumer`, `internal`.
//!
//! A call to a database (a span with the field `db.system.name`) is an exception. It
//! takes its trace nowhere, and there are many, so it is made only in a span that is
//! sampled: not under any other, and not as a trace of its own.
//!
//! A call that comes through a door is asked about before there is any span
//! ([`Scope::of_call`]): in a trace that is not sampled it has ids and no span. So what
//! takes a call to another task or thread takes its [`Scope`] there.
//!
//! Fields become attributes if [`attributes::ALLOWED`] names them. The fields
//! `otel.name`, `otel.kind` and `otel.status_code` are the span's name, kind and
//! status; the log does not show them, nor any field of a span that has a field
//! `trellis.log.hidden`. Warnings and errors that are logged in a sampled span are
//! events of it, an error also its status; what else shall be an event says [`event`].
//!
//! # What it may cost
//!
//! A finished span is put into a queue with a bound, and dropped and counted if
//! that is full: a collector that is slow, silent or away slows no request. What
//! goes wrong on the way is logged once a minute at most. Lines of the log go the same
//! way, so a terminal, a pipe or a disk that is blocked slows none either; those of
//! Trellis's own crates are also exported as log records if [`Settings::logs`] says so.

pub mod attributes;
pub mod metrics;
pub mod propagation;

mod context;
mod ending;
mod gate;
mod hex;
mod logs;
mod resource;
mod scope;
mod settings;
mod tally;
mod telemetry;
mod traces;

#[cfg(feature = "receiver")]
pub mod receiver;

pub use logs::{Format, LogLevels, filter};
pub use metrics::Metrics;
pub use scope::{Entered, Scope, Scoped};
pub use settings::{Export, ExportLogs, ExportMetrics, PushMetrics, Settings};
pub use telemetry::{Telemetry, build, build_queued, start};
pub use traces::event;
