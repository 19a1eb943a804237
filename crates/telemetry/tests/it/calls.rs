//! Calls that come in, and what they cost if nobody will look at them.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::thread;

use futures::FutureExt as _;
use futures::future::poll_fn;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use tracing::{Span, debug_span, dispatcher, info_span, warn};
use trellis_telemetry::propagation::{self, Remote, TraceId};
use trellis_telemetry::receiver::Receiver;
use trellis_telemetry::{Scope, Settings};

use crate::kit::{Process, all, exporting, named, none};

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn span() -> Span {
    info_span!(target: "trellis_test", "serve", otel.kind = "server")
}

fn unwanted() -> Span {
    unreachable!("nobody will look at it")
}

fn call(caller: Option<&str>, span: impl FnOnce() -> Span) -> Scope {
    let caller = caller.map(|caller| Remote::parse(caller).expect("a caller"));
    Scope::of_call(caller.as_ref(), "trellis_test", span)
}

/// What a peer is told.
fn told() -> Remote {
    let mut headers = HashMap::new();
    propagation::inject(&mut headers);
    propagation::extract(&headers).expect("a traceparent")
}

/// A call from `caller` makes no span; returns what it tells its peer.
fn costs_no_span(process: &Process, caller: Option<&str>) -> Remote {
    process.run(|| {
        let scope = call(caller, unwanted);
        assert!(scope.span().is_none());
        let told = scope.in_scope(|| {
            assert!(Span::current().is_none());
            assert!(debug_span!(target: "trellis_test", "inner").is_disabled());
            let client = debug_span!(target: "trellis_test", "call", otel.kind = "client");
            assert!(client.is_disabled());
            warn!(target: "trellis_test", "at work");
            assert_eq!(Remote::current(), scope.remote());
            told()
        });
        assert_eq!(Remote::current(), None);
        assert_eq!(scope.trace_id(), Some(told.trace_id()));

        let line = process.log.line("at work");
        assert_eq!(line["trace_id"], told.trace_id().to_string());
        assert_eq!(line["span_id"], told.span_id().to_string());
        assert_eq!(line.get("span"), None);
        told
    })
}

#[test]
fn without_a_collector_a_call_has_ids_and_no_span() {
    let new = || Process::new("gateway", &Settings::default());

    let root = costs_no_span(&new(), None);

    assert!(!root.is_sampled());
    assert_ne!(costs_no_span(&new(), None).trace_id(), root.trace_id());
    for caller in [UNSAMPLED, SAMPLED] {
        assert_eq!(costs_no_span(&new(), Some(caller)).to_string(), caller);
    }
}

#[tokio::test]
async fn a_call_that_is_not_sampled_has_ids_and_no_span() {
    let receiver = Receiver::start().await.unwrap();
    let never = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)));
    let cases = [(never, None), (all(), Some(UNSAMPLED)), (Sampler::AlwaysOff, Some(SAMPLED))];

    for (sampler, caller) in cases {
        let process = Process::sampling("gateway", &receiver, sampler);

        let told = costs_no_span(&process, caller);

        assert!(!told.is_sampled());
        if let Some(caller) = caller.and_then(Remote::parse) {
            assert_eq!(told.trace_id(), caller.trace_id());
            assert_ne!(told.span_id(), caller.span_id());
        }
        process.stop().await;
    }
    assert_eq!(receiver.spans(), []);
}

#[tokio::test]
async fn a_call_that_its_caller_samples_is_a_span_below_it() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("gateway", &receiver, none());

    let told = process.run(|| {
        let scope = call(Some(SAMPLED), span);
        scope.in_scope(|| debug_span!(target: "trellis_test", "inner").in_scope(told))
    });
    process.stop().await;

    let spans = receiver.spans();
    let (serve, inner) = (named(&spans, "serve"), named(&spans, "inner"));
    let caller = Remote::parse(SAMPLED).unwrap();
    assert_eq!(serve.trace_id, caller.trace_id().to_string());
    assert_eq!(serve.parent, caller.span_id().to_string());
    assert_eq!(inner.parent, serve.span_id);
    assert_eq!(inner.span_id, told.span_id().to_string());
    assert!(told.is_sampled());
}

#[tokio::test]
async fn a_sampler_that_asks_no_caller_is_obeyed() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("gateway", &receiver, Sampler::AlwaysOn);

    process.run(|| call(Some(UNSAMPLED), span).in_scope(|| ()));
    process.stop().await;

    assert_eq!(named(&receiver.spans(), "serve").parent, "00f067aa0ba902b7");
}

#[tokio::test]
async fn a_ratio_samples_by_the_id_of_the_trace_as_the_sdk_does() {
    let receiver = Receiver::start().await.unwrap();
    let half = Sampler::TraceIdRatioBased(0.5);
    let process =
        Process::sampling("gateway", &receiver, Sampler::ParentBased(Box::new(half.clone())));

    let mut sampled = BTreeSet::new();
    let mut unsampled = 0;
    process.run(|| {
        for _ in 0..200 {
            let scope = call(None, span);
            let trace = scope.trace_id().unwrap();
            let is_sampled = samples(&half, trace);
            assert_eq!(scope.remote().unwrap().is_sampled(), is_sampled, "{trace}");
            assert_eq!(scope.span().is_none(), !is_sampled, "{trace}");
            if is_sampled {
                sampled.insert(trace.to_string());
            } else {
                unsampled += 1;
            }
        }
    });
    process.stop().await;

    assert!(!sampled.is_empty() && 0 < unsampled);
    let spans = receiver.spans();
    assert!(spans.iter().all(|span| span.parent.is_empty()));
    let exported: BTreeSet<_> = spans.into_iter().map(|span| span.trace_id).collect();
    assert_eq!(exported, sampled);
}

fn samples(sampler: &Sampler, trace: TraceId) -> bool {
    let result = sampler.should_sample(None, trace, "serve", &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

#[tokio::test]
async fn a_call_in_a_trace_is_a_part_of_it() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("gateway", &receiver);
    let off = Process::new("gateway", &Settings::default());

    process.run(|| {
        info_span!(target: "trellis_test", "outer").in_scope(|| call(None, span).in_scope(|| ()));
    });
    off.run(|| {
        let outer = call(Some(UNSAMPLED), unwanted);
        let inner = outer.in_scope(|| call(None, unwanted));
        assert_eq!(inner.remote(), outer.remote());
    });
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(named(&spans, "serve").parent, named(&spans, "outer").span_id);
}

#[tokio::test]
async fn where_calls_belong_to_no_trace_others_begin_their_own() {
    let receiver = Receiver::start().await.unwrap();
    let export = trellis_telemetry::Export::to(receiver.endpoint());
    let spans = Some("trellis_order=debug".parse().unwrap());
    let process = Process::new("order", &Settings { spans, ..exporting(export) });

    process.run(|| {
        let scope = call(None, span);
        assert_eq!(scope.trace_id(), None);
        scope.in_scope(|| debug_span!(target: "trellis_order", "step").in_scope(|| ()));
    });
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!((spans.len(), &*named(&spans, "step").parent), (1, ""));
}

#[tokio::test]
async fn a_scope_goes_to_another_thread() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("order", &receiver);

    for caller in [SAMPLED, UNSAMPLED] {
        let (told, told_there) = process.run(|| {
            call(Some(caller), span).in_scope(|| {
                let (scope, dispatch) = (Scope::current(), dispatcher::get_default(Clone::clone));
                assert_eq!(scope.remote(), Remote::current());
                let there = move || {
                    scope.in_scope(|| debug_span!(target: "trellis_test", "there").in_scope(told))
                };
                let there = thread::spawn(move || dispatcher::with_default(&dispatch, there));
                (told(), there.join().unwrap())
            })
        });
        assert_eq!(told_there.trace_id(), told.trace_id());
        assert_eq!(told_there.is_sampled(), told.is_sampled());
        assert_eq!(told_there == told, caller == UNSAMPLED, "there is a span if it is sampled");
    }
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(named(&spans, "there").parent, named(&spans, "serve").span_id);
    assert_eq!(spans.len(), 2);
}

/// Notes where it is dropped.
struct Dropped<'a>(&'a mut Option<TraceId>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        *self.0 = propagation::current_trace_id();
    }
}

#[test]
fn calls_that_take_turns_on_a_thread_keep_their_own_ids_to_the_end() {
    let process = Process::new("gateway", &Settings::default());

    process.run(|| {
        let [one, two] = [(); 2].map(|()| call(None, unwanted));
        let ids = [one.trace_id(), two.trace_id()];
        assert_ne!(ids[0], ids[1]);
        let mut ends = [None; 2];
        {
            let [end, given_up] = &mut ends;
            let done = one.around(async {
                let _end = Dropped(end);
                yield_once().await;
                propagation::current_trace_id()
            });
            let hangs = two.around(async {
                let _end = Dropped(given_up);
                std::future::pending::<()>().await;
            });
            let (mut done, mut hangs) = (pin!(done), pin!(hangs));
            assert_eq!(done.as_mut().now_or_never(), None);
            assert_eq!(hangs.as_mut().now_or_never(), None);
            assert_eq!(propagation::current_trace_id(), None);
            assert_eq!(done.as_mut().now_or_never(), Some(ids[0]));
        }
        assert_eq!(ends, ids);
        assert_eq!(propagation::current_trace_id(), None);
    });
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|_| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}
