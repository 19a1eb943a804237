//! What a span with five attributes costs whoever makes it, on one thread.
//!
//! `Off`: nothing is exported; `Unsampled`: a collector is named, but the trace is
//! not sampled; `Sampled`: it is, and the queue behind is full most of the time,
//! since no collector would keep up. `edge` is a span that says its kind, `inner`
//! one that does not, `logged` one that the log shows with its lines, and `line`
//! such a line, as JSON.

use std::io;

use divan::Bencher;
use opentelemetry_sdk::trace::Sampler;
use tracing::{Dispatch, Span};
use trellis_telemetry::{Export, Format, Settings, Telemetry};

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
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _context = runtime.enter();
    let (dispatch, telemetry) = subscriber(mode);
    tracing::dispatcher::with_default(&dispatch, || edge().in_scope(body));
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

#[divan::bench(args = MODES, sample_size = 1000)]
fn tell_a_peer(bencher: Bencher<'_, '_>, mode: Mode) {
    within(mode, || {
        bencher.bench_local(|| {
            let mut headers = http::HeaderMap::new();
            trellis_telemetry::propagation::inject(&mut headers);
            headers
        });
    });
}
