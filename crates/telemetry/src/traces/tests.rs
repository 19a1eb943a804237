//! What leaves the process, read with the code that is generated from OTLP's own files.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_sdk::trace::Sampler;
use prost::Message as _;
use tracing::field::{Empty, debug};
use tracing::{Level, dispatcher, info_span};

use super::*;
use crate::attributes;
use crate::propagation;

const MANY: usize = 10;

fn queue(room: usize, batch: usize) -> Arc<Queue> {
    Arc::new(Queue::new(Arc::new(Tally::new("spans", room)), batch))
}

/// What `body` leaves in a queue, as a request; `None` if that is nothing.
fn export(body: impl FnOnce()) -> Option<ExportTraceServiceRequest> {
    let queue = queue(MANY, MANY);
    let sampler = Some(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let recorded = Recorded::new(Targets::new().with_default(Level::TRACE), sampler);
    let spans = Spans { recorded, queue: Some(Arc::clone(&queue)) };
    let subscriber = tracing_subscriber::registry().with(spans);
    dispatcher::with_default(&subscriber.into(), body);
    let batch = queue.take()?;
    let resource = Resource::builder_empty().with_service_name("order").build();
    let bytes = [Envelope::new(&resource).head(batch.bytes.len()), batch.bytes].concat();
    Some(ExportTraceServiceRequest::decode(&*bytes).expect("it is a request"))
}

/// The one span that `body` makes.
fn one(body: impl FnOnce()) -> Span {
    let mut spans = export(body).expect("a span").resource_spans.remove(0).scope_spans.remove(0);
    assert_eq!(spans.spans.len(), 1);
    spans.spans.remove(0)
}

fn value(span: &Span, key: &str) -> Any {
    let found = span.attributes.iter().find(|pair| pair.key == key).expect(key);
    found.value.clone().and_then(|value| value.value).expect(key)
}

#[test]
fn a_request_says_whose_its_spans_are() {
    let request = export(|| {
        info_span!("one").in_scope(|| ());
        info_span!("two").in_scope(|| ());
    });

    let ResourceSpans { resource, scope_spans, .. } = &request.unwrap().resource_spans[0];
    let service = &resource.as_ref().unwrap().attributes[0];
    assert_eq!(service.key, "service.name");
    let name = service.value.clone().unwrap().value;
    assert_eq!(name, Some(Any::StringValue("order".to_owned())));
    let ScopeSpans { scope, spans, .. } = &scope_spans[0];
    assert_eq!(scope.as_ref().unwrap().name, "trellis");
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn values_keep_their_sort_and_their_size() {
    let long = "x".repeat(300);
    let span = one(|| {
        info_span!(
            "work",
            peer = &*long,
            attempt = -1_i64,
            number = u64::MAX,
            operation = true,
            target = 0.25,
            reason = debug(Some(1)),
            verdict = "",
        );
    });

    assert_eq!(value(&span, "peer"), Any::StringValue(long));
    assert_eq!(value(&span, "attempt"), Any::IntValue(-1));
    assert_eq!(value(&span, "number"), Any::IntValue(i64::MAX));
    assert_eq!(value(&span, "operation"), Any::BoolValue(true));
    assert_eq!(value(&span, "target"), Any::DoubleValue(0.25));
    assert_eq!(value(&span, "reason"), Any::StringValue("Some(1)".to_owned()));
    assert_eq!(value(&span, "verdict"), Any::StringValue(String::new()));
}

#[test]
fn a_span_says_what_was_recorded_of_it_also_after_it_began() {
    let span = one(|| {
        let span = info_span!("http", otel.kind = "server", otel.name = Empty, http.route = Empty);
        span.in_scope(|| ());
        span.record("otel.name", "GET /v1/products/{sku}");
        span.record(attributes::HTTP_ROUTE, "/v1/products/{sku}");
    });

    assert_eq!(span.name, "GET /v1/products/{sku}");
    assert_eq!(span.kind(), SpanKind::Server);
    let route = Any::StringValue("/v1/products/{sku}".to_owned());
    assert_eq!(value(&span, attributes::HTTP_ROUTE), route);
    assert!(0 < span.start_time_unix_nano, "{span:?}");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
}

#[test]
fn a_span_that_went_well_stays_so_whatever_failed_in_it() {
    let code = |said: &'static [&'static str]| {
        let span = one(|| {
            let span = info_span!("work", otel.status_code = Empty);
            for status in said {
                span.record("otel.status_code", status);
            }
            span.in_scope(|| tracing::error!("broken"));
        });
        assert_eq!(span.kind(), SpanKind::Internal);
        span.status.unwrap().code()
    };

    assert_eq!(code(&[]), StatusCode::Error);
    assert_eq!(code(&["error", "OK"]), StatusCode::Ok);
    assert_eq!(code(&["ok", "ERROR"]), StatusCode::Ok);
}

#[test]
fn parents_and_links_of_other_processes_are_marked_as_such() {
    let state = "vendor=x".parse().unwrap();
    let (trace, id, flags) = (TraceId::from(7_u128), SpanId::from(8), TraceFlags::SAMPLED);
    let other = Arc::new(SpanContext::new(trace, id, flags, true, state));
    let span = one(|| {
        let span = info_span!("process");
        propagation::set_parent(&span, &propagation::Remote(Arc::clone(&other)));
        span.in_scope(|| ());
        link(&span, &other);
    });

    assert_eq!(span.trace_id, trace.to_bytes());
    assert_eq!((&*span.parent_span_id, &*span.trace_state), (&id.to_bytes()[..], "vendor=x"));
    assert_eq!(span.flags, 0x301);
    let link = &span.links[0];
    assert_eq!((&*link.trace_id, &*link.span_id), (&trace.to_bytes()[..], &id.to_bytes()[..]));
    assert_eq!((&*link.trace_state, link.flags), ("vendor=x", 0x301));
    assert_eq!(one(|| drop(info_span!("root"))).flags, 0x101);
}

#[test]
fn a_span_has_a_bound_and_tells_how_much_is_left_out() {
    let span = one(|| {
        let span = info_span!("work", attempt = Empty);
        for attempt in 0..130 {
            span.record("attempt", attempt);
            span.in_scope(|| tracing::warn!("again"));
        }
    });

    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (128, 2));
    assert_eq!((span.events.len(), span.dropped_events_count), (128, 2));
    assert!(0 < span.events[0].time_unix_nano);
}

#[test]
fn what_is_not_sampled_leaves_nothing() {
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let request = export(|| {
        let span = info_span!("work");
        propagation::set_parent(&span, &propagation::Remote::parse(unsampled).unwrap());
        span.in_scope(|| info_span!("inner").in_scope(|| tracing::error!("broken")));
    });

    assert_eq!(request, None);
}

#[test]
fn what_is_said_while_it_is_recorded_is_no_dead_end() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            tracing::warn!("it is looked at");
            f.write_str("seen")
        }
    }
    let span = one(|| {
        let span = info_span!("work", reason = Empty);
        let _entered = span.enter();
        span.record("reason", debug(Chatty));
        tracing::warn!(reason = ?Chatty, "careful");
    });

    assert_eq!(value(&span, "reason"), Any::StringValue("seen".to_owned()));
    let names: Vec<_> = span.events.iter().map(|event| &*event.name).collect();
    // `tracing` itself takes no event within another.
    assert_eq!(names, ["it is looked at", "careful"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_sent_at_once_and_the_rest_in_time() {
    let queue = queue(5, 2);
    let delay = Duration::from_secs(5);
    let begin = tokio::time::Instant::now();

    (0..7).for_each(|_| queue.put(|| vec![0; 3]));

    for (spans, after) in [(2, 0), (2, 0), (1, 5)] {
        let batch = queue.next(delay).await.unwrap();
        // Each with its tag and its length.
        assert_eq!((batch.spans, batch.bytes.len()), (spans, spans * 5));
        assert_eq!(begin.elapsed().as_secs(), after);
    }
    assert!(queue.next(delay).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_batch_gets_it_as_soon_as_it_is_full() {
    let queue = queue(5, 2);
    let begin = tokio::time::Instant::now();
    let put = async {
        queue.put(Vec::new);
        tokio::task::yield_now().await;
        queue.put(Vec::new);
    };

    let (batch, ()) = tokio::join!(queue.next(Duration::from_secs(5)), put);

    assert_eq!((batch.unwrap().spans, begin.elapsed().as_secs()), (2, 0));
}

#[tokio::test]
async fn large_spans_make_small_batches() {
    let queue = queue(5, 5);
    (0..3).for_each(|_| queue.put(|| vec![0; 600 * 1024]));

    let sizes = [queue.take(), queue.take()].map(|batch| batch.unwrap().spans);

    assert_eq!(sizes, [2, 1]);
}
