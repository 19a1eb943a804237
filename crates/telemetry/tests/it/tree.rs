//! Spans of several processes that make up one trace.

use std::collections::HashMap;

use http::HeaderMap;
use tracing::{Instrument as _, debug_span, info_span};
use trellis_telemetry::propagation::{self, Remote};
use trellis_telemetry::receiver::{Receiver, SpanKind};

use crate::kit::{Process, named};

/// The order process: serves a call, and keeps what it tells its consumers.
fn serve(order: &Process, headers: &HeaderMap) -> HashMap<String, String> {
    order.run(|| {
        let server = info_span!(target: "trellis_test", "serve", otel.kind = "server");
        propagation::set_parent(&server, &propagation::extract(headers).expect("a caller"));
        server.in_scope(|| {
            debug_span!(target: "trellis_test", "step").in_scope(|| {
                let publish = info_span!(target: "trellis_test", "publish", otel.kind = "producer");
                let mut event = HashMap::new();
                propagation::inject_span(&publish, &mut event);
                event
            })
        })
    })
}

fn consume(consumer: &Process, event: &HashMap<String, String>) {
    consumer.run(|| {
        let span = info_span!(target: "trellis_test", "consume", otel.kind = "consumer");
        let publisher = propagation::extract(event).expect("a publisher");
        propagation::set_parent(&span, &publisher);
        propagation::link(&span, &publisher);
        span.in_scope(|| ());
    });
}

#[tokio::test]
async fn a_call_and_an_event_make_one_tree_over_three_processes() {
    let receiver = Receiver::start().await.unwrap();
    let [gateway, order, consumer] = ["gateway", "order", "recommendation"]
        .map(|service| Process::exporting(service, &receiver));

    let event = gateway.run(|| {
        let root = info_span!(target: "trellis_test", "root", otel.kind = "server");
        let _root = root.entered();
        let call = info_span!(target: "trellis_test", "call", otel.kind = "client");
        let mut headers = HeaderMap::new();
        call.in_scope(|| propagation::inject(&mut headers));
        serve(&order, &headers)
    });
    consume(&consumer, &event);
    for process in [gateway, order, consumer] {
        process.stop().await;
    }

    let spans = receiver.spans();
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let expected = [
        ("gateway", "root", SpanKind::Server, None),
        ("gateway", "call", SpanKind::Client, Some("root")),
        ("order", "serve", SpanKind::Server, Some("call")),
        ("order", "step", SpanKind::Internal, Some("serve")),
        ("order", "publish", SpanKind::Producer, Some("step")),
        ("recommendation", "consume", SpanKind::Consumer, Some("publish")),
    ];
    let trace = &named(&spans, "root").trace_id;
    for (service, name, kind, parent) in expected {
        let span = named(&spans, name);
        let parent = parent.map(|parent| named(&spans, parent).span_id.clone());
        assert_eq!((span.service.as_str(), span.kind), (service, kind), "{name}");
        assert_eq!(&span.trace_id, trace, "{name}");
        assert_eq!(span.parent, parent.unwrap_or_default(), "{name}");
    }
    let publish = named(&spans, "publish");
    let link = (publish.trace_id.clone(), publish.span_id.clone());
    assert_eq!(named(&spans, "consume").links, [link]);
    assert!(spans.iter().all(|span| span.name == "consume" || span.links.is_empty()));
}

#[tokio::test]
async fn a_span_is_linked_to_one_that_was_kept_as_text() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("order", &receiver);

    process.run(|| {
        let kept = info_span!(target: "trellis_test", "begun", otel.kind = "server")
            .in_scope(|| Remote::current().unwrap().to_string());
        let recovered = info_span!(target: "trellis_test", "recovered", otel.kind = "internal");
        propagation::link(&recovered, &Remote::parse(&kept).unwrap());
    });
    process.stop().await;

    let spans = receiver.spans();
    let (begun, recovered) = (named(&spans, "begun"), named(&spans, "recovered"));
    assert_eq!(recovered.links, [(begun.trace_id.clone(), begun.span_id.clone())]);
    assert_ne!(recovered.trace_id, begun.trace_id);
}

#[tokio::test]
async fn calls_that_take_turns_on_a_thread_keep_their_own_traces() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("gateway", &receiver);

    let call = |name: &'static str| {
        let span = info_span!(target: "trellis_test", "outer", otel.name = name);
        async move {
            let before = propagation::current_trace_id().unwrap();
            tokio::task::yield_now().await;
            let inner = debug_span!(target: "trellis_test", "inner", method = name);
            async { tokio::task::yield_now().await }.instrument(inner).await;
            assert_eq!(propagation::current_trace_id(), Some(before));
            before
        }
        .instrument(span)
    };
    let calls = process.run(|| futures::future::join(call("one"), call("two")));
    let calls = async {
        let (one, two) = calls.await;
        assert_ne!(one, two);
    };
    let dispatch = process.run(|| tracing::dispatcher::get_default(Clone::clone));
    tracing::instrument::WithSubscriber::with_subscriber(calls, dispatch).await;
    process.stop().await;

    let spans = receiver.spans();
    for inner in spans.iter().filter(|span| span.name == "inner") {
        let outer = named(&spans, &inner.attributes["method"]);
        assert_eq!((&inner.trace_id, &inner.parent), (&outer.trace_id, &outer.span_id));
    }
    assert_eq!(spans.len(), 4);
}

#[tokio::test]
async fn the_process_says_who_it_is() {
    let receiver = Receiver::start().await.unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=st%20aging,a=b".to_owned()),
        ("OTEL_SERVICE_NAME", "shop".to_owned()),
    ];
    let process = Process::new("trellis", &crate::settings::of(&variables).unwrap());

    process.run(|| info_span!(target: "trellis_test", "work").in_scope(|| ()));
    process.stop().await;

    let work = named(&receiver.spans(), "work").clone();
    assert_eq!(work.service, "shop");
    assert_eq!(work.resource["deployment.environment.name"], "st aging");
    assert_eq!(work.resource["a"], "b");
    let instance = &work.resource["service.instance.id"];
    assert!(uuid::Uuid::parse_str(instance).is_ok(), "{instance}");
}
