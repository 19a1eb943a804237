//! What a span with five attributes costs whoever makes it, on one thread.
//!
//! `Off`: nothing is exported; `Unsampled`: a collector is named, but the trace is
//! not sampled; `Sampled`: it is, and the queue behind is full most of the time,
//! since no collector would keep up. `edge` is a span that says its kind, `inner`
//! one that does not, `logged` one that the log shows with its lines, `line` such a
//! line, as JSON, and `call` all that is done for one that comes through a door, with its
//! ids, its polls and its line.

use std::hint::black_box;
use std::io;

use divan::Bencher;
use opentelemetry_sdk::trace::Sampler;
use tracing::field::Empty;
use tracing::{Dispatch, Span};
use trellis_telemetry::{Export, Format, Scope, Settings, Telemetry, propagation};

fn main() {
    divan::main();
}

const MODES: [Mode; 4] = [Mode::Bare, Mode::Off, Mode::Unsampled, Mode::Sampled];

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// No subscriber at all, for comparison.
    Bare,
    Off,
    Unsampled,
    Sampled,
}

fn edge() -> Span {
    tracing::debug_span!(
        target: "trellis_bench",
        "call",
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = "trellis.order.v1.OrderService/Checkout",
        server.address = "order",
        server.port = 8080,
    )
}

fn inner() -> Span {
    tracing::debug_span!(
        target: "trellis_bench",
        "step",
        trellis.saga.step = "reserve",
        trellis.role = "order",
        trellis.attempt = 1,
        db.system.name = "sqlite",
        db.operation.name = "reserve",
    )
}

fn logged() -> Span {
    tracing::info_span!(
        target: "trellis_bench",
        "call",
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = "trellis.order.v1.OrderService/Checkout",
        server.address = "order",
        server.port = 8080,
    )
}

/// Runs `body` inside of a trace.
fn within(mode: Mode, body: impl FnOnce()) {
    outside(mode, || edge().in_scope(body));
}

/// Runs `body` inside of no trace.
fn outside(mode: Mode, body: impl FnOnce()) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _context = runtime.enter();
    let (dispatch, telemetry) = subscriber(mode);
    tracing::dispatcher::with_default(&dispatch, body);
    if let Some(telemetry) = telemetry {
        runtime.block_on(telemetry.stop());
    }
}

fn subscriber(mode: Mode) -> (Dispatch, Option<Telemetry>) {
    let sampler = match mode {
        Mode::Bare => return (Dispatch::none(), None),
        Mode::Off => None,
        Mode::Unsampled => Some(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))),
        Mode::Sampled => Some(Sampler::ParentBased(Box::new(Sampler::AlwaysOn))),
    };
    // Nobody listens there: what is measured is this side of the queue.
    let export = sampler.map(|sampler| Export { sampler, ..Export::to("http://127.0.0.1:9") });
    let settings = Settings { export, ..Settings::default() };
    let (dispatch, telemetry) =
        trellis_telemetry::build("bench", &settings, Format::Json, io::sink).expect("telemetry");
    (dispatch, Some(telemetry))
}

#[divan::bench(args = MODES, sample_size = 1000)]
fn edge_span(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || bencher.bench_local(|| edge().in_scope(|| ())));
}

#[divan::bench(args = MODES, sample_size = 1000)]
fn inner_span(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || bencher.bench_local(|| inner().in_scope(|| ())));
}

#[divan::bench(args = MODES, sample_size = 1000)]
fn logged_span(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || bencher.bench_local(|| logged().in_scope(|| ())));
}

#[divan::bench(args = MODES, sample_size = 1000)]
fn line(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || {
        logged().in_scope(|| {
            bencher.bench_local(|| tracing::info!(target: "trellis_bench", outcome = "OK", "done"));
        });
    });
}

/// How often a call is polled, with those of its answer's body.
const POLLS: usize = 6;

const METHOD: &str = "trellis.order.v1.OrderService/Checkout";

fn served() {
    tracing::info!(
        target: "trellis_bench",
        { rpc.method = METHOD, code = "OK", duration_ms = 1.4 },
        "served"
    );
}

fn door() -> Span {
    tracing::info_span!(
        target: "trellis_bench",
        "grpc",
        otel.kind = "server",
        otel.name = METHOD,
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = METHOD,
        rpc.response.status_code = Empty,
        "error.type" = Empty,
        "trellis.log.hidden" = Empty,
    )
}

#[divan::bench(args = MODES, sample_size = 100)]
fn call(bencher: Bencher<'_, '_>, mode: Mode) {
    outside(mode, || {
        bencher.bench_local(|| {
            let scope = Scope::of_call(None, "trellis_bench", door);
            (0..POLLS).for_each(|_| scope.in_scope(|| black_box(())));
            let told = scope.trace_id().map(propagation::header);
            scope.span().record("rpc.response.status_code", "OK");
            scope.in_scope(served);
            told
        });
    });
}

#[divan::bench(args = MODES, sample_size = 1000)]
fn tell_a_peer(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || {
        bencher.bench_local(|| {
            let mut headers = http::HeaderMap::new();
            propagation::inject(&mut headers);
            headers
        });
    });
}
