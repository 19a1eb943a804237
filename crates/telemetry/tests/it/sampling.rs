//! Traces that are not exported, or not all.

use std::collections::HashMap;

use opentelemetry_sdk::trace::Sampler;
use tracing::{debug_span, info_span};
use trellis_telemetry::Settings;
use trellis_telemetry::propagation::{self, Remote};
use trellis_telemetry::receiver::Receiver;

use crate::kit::{Process, all, named, none};

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Serves a call that told of `parent`, and gives what it tells its own peer.
fn relay(process: &Process, parent: Option<&str>) -> String {
    process.run(|| {
        let serve = info_span!(target: "trellis_test", "serve", otel.kind = "server");
        if let Some(parent) = parent {
            propagation::set_parent(&serve, &Remote::parse(parent).expect("a parent"));
        }
        serve.in_scope(|| {
            debug_span!(target: "trellis_test", "inner").in_scope(|| {
                tracing::info!(target: "trellis_test", "at work");
                let mut headers = HashMap::new();
                propagation::inject(&mut headers);
                headers.remove("traceparent").expect("a traceparent")
            })
        })
    })
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_not_exported_but_goes_on() {
    let receiver = Receiver::start().await.unwrap();
    let never = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)));
    let process = Process::sampling("gateway", &receiver, never);

    let told = relay(&process, None);

    let told = Remote::parse(&told).unwrap();
    assert!(!told.is_sampled());
    assert_eq!(process.log.line("at work")["trace_id"], told.trace_id().to_string());
    process.stop().await;
    assert_eq!(receiver.spans(), []);
}

#[tokio::test]
async fn a_caller_that_does_not_sample_is_obeyed() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("order", &receiver, all());

    let told = relay(&process, Some(UNSAMPLED));

    let (told, parent) = (Remote::parse(&told).unwrap(), Remote::parse(UNSAMPLED).unwrap());
    assert_eq!((told.trace_id(), told.is_sampled()), (parent.trace_id(), false));
    process.stop().await;
    assert_eq!(receiver.spans(), []);
}

#[tokio::test]
async fn a_caller_that_samples_is_obeyed() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("order", &receiver, none());

    let told = relay(&process, Some(SAMPLED));

    assert!(Remote::parse(&told).unwrap().is_sampled());
    process.stop().await;
    let spans = receiver.spans();
    assert_eq!(named(&spans, "serve").parent, "00f067aa0ba902b7");
    assert_eq!(named(&spans, "inner").parent, named(&spans, "serve").span_id);
}

#[tokio::test]
async fn a_sampled_event_is_exported_from_within_an_unsampled_task() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("order", &receiver, none());

    process.run(|| {
        debug_span!(target: "trellis_test", "task").in_scope(|| {
            let publish = info_span!(target: "trellis_test", "publish", otel.kind = "producer");
            propagation::set_parent(&publish, &Remote::parse(SAMPLED).unwrap());
            publish.in_scope(|| debug_span!(target: "trellis_test", "write").in_scope(|| ()));
        });
    });
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(named(&spans, "publish").parent, "00f067aa0ba902b7");
    assert_eq!(named(&spans, "write").parent, named(&spans, "publish").span_id);
    assert_eq!(spans.len(), 2);
}

#[test]
fn without_a_collector_a_new_trace_is_unsampled_and_one_id_is_everywhere() {
    let process = Process::new("gateway", &Settings::default());

    let told = Remote::parse(&relay(&process, None)).unwrap();

    assert!(!told.is_sampled());
    assert_eq!(process.log.line("at work")["trace_id"], told.trace_id().to_string());
    assert_ne!(Remote::parse(&relay(&process, None)).unwrap().trace_id(), told.trace_id());
}

#[test]
fn without_a_collector_a_caller_finds_itself_at_the_other_end() {
    let process = Process::new("gateway", &Settings::default());

    for parent in [SAMPLED, UNSAMPLED] {
        assert_eq!(relay(&process, Some(parent)), parent);
    }
}

#[test]
fn a_span_that_was_not_entered_tells_of_its_trace() {
    let process = Process::new("gateway", &Settings::default());

    process.run(|| {
        let serve = info_span!(target: "trellis_test", "serve", otel.kind = "server");
        // The log wants it, so it knows its parent even if no trace has it.
        let logged = serve.in_scope(|| info_span!(target: "trellis_test", "logged"));

        let trace = propagation::trace_id(&serve).unwrap();

        assert_eq!(trace.to_string().len(), 32);
        assert_eq!(propagation::trace_id(&logged), Some(trace));
        serve.in_scope(|| {
            let inner = debug_span!(target: "trellis_test", "inner");
            assert_eq!(propagation::trace_id(&inner), Some(trace));
        });
        assert_eq!(propagation::current_trace_id(), None);
    });
}

fn database_call() -> tracing::Span {
    debug_span!(
        target: "trellis_test",
        "read",
        otel.kind = "client",
        db.system.name = "sqlite",
        db.namespace = "order",
    )
}

#[tokio::test]
async fn a_call_to_a_database_is_made_in_a_sampled_span_only() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("order", &receiver, all());

    process.run(|| {
        assert!(database_call().is_disabled(), "it begins no trace");
        for (parent, is_sampled) in [(UNSAMPLED, false), (SAMPLED, true)] {
            let serve = info_span!(target: "trellis_test", "serve", otel.kind = "server");
            propagation::set_parent(&serve, &Remote::parse(parent).unwrap());
            serve.in_scope(|| assert_eq!(database_call().is_disabled(), !is_sampled));
        }
    });
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(named(&spans, "read").parent, named(&spans, "serve").span_id);
    assert_eq!(named(&spans, "read").attributes["db.namespace"], "order");
    assert_eq!(spans.len(), 2);
}

#[tokio::test]
async fn what_nobody_wants_is_not_even_made() {
    let receiver = Receiver::start().await.unwrap();
    let unsampled = Process::sampling("order", &receiver, none());
    let off = Process::new("order", &Settings::default());
    for process in [unsampled, off] {
        process.run(|| {
            info_span!(target: "trellis_test", "outer", otel.kind = "server").in_scope(|| {
                assert!(debug_span!(target: "trellis_test", "inner").is_disabled());
                let call = debug_span!(target: "trellis_test", "call", otel.kind = "client");
                assert!(call.is_disabled());
                assert!(!info_span!(target: "trellis_test", "logged").is_disabled());
                assert!(tracing::trace_span!(target: "h2", "frame").is_disabled());
                assert!(!tracing::enabled!(target: "h2", tracing::Level::DEBUG));
                assert!(!tracing::enabled!(target: "trellis_test", tracing::Level::DEBUG));
            });
        });
        process.stop().await;
    }
}
