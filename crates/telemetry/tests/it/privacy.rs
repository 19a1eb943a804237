//! What does not leave the process.

use tracing::field::Empty;
use tracing::{debug_span, info_span};
use trellis_telemetry::receiver::{Received, Receiver};
use trellis_telemetry::{Export, Settings, attributes, event};

use crate::kit::{Process, all, exporting, named, none};

const SECRET: &str = "ada@example.com";

fn keys(span: &Received) -> Vec<&str> {
    span.attributes.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn only_attributes_on_the_list_are_exported() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("user", &receiver);

    process.run(|| {
        let span = info_span!(
            target: "trellis_test",
            "sign up",
            email = SECRET,
            rpc.method = "trellis.user.v1.UserService/SignUp",
            rpc.response.status_code = Empty,
            enduser.id = Empty,
            otel.status_code = Empty,
            otel.status_description = Empty,
        );
        span.in_scope(|| {
            span.record("rpc.response.status_code", "ALREADY_EXISTS");
            span.record("enduser.id", SECRET);
            span.record("otel.status_code", "error");
            span.record("otel.status_description", SECRET);
            tracing::warn!(target: "trellis_test", email = SECRET, reason = "TAKEN", "refused");
            event("looked", [("email", SECRET.into()), (attributes::REASON, "NEW".into())]);
        });
    });
    process.stop().await;

    let span = named(&receiver.spans(), "sign up").clone();
    assert_eq!(keys(&span), [attributes::RPC_METHOD, attributes::RPC_RESPONSE_STATUS_CODE]);
    assert_eq!(span.error.as_deref(), Some(""));
    let events: Vec<_> = span
        .events
        .iter()
        .map(|(name, attributes)| (name.as_str(), attributes.clone().into_iter().collect()))
        .collect();
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    // The target is the place in the code.
    let refused = [pair("reason", "TAKEN"), pair("target", "trellis_test")].concat();
    let refused = ("refused", refused);
    assert_eq!(events, [refused, ("looked", pair(attributes::REASON, "NEW"))]);
    assert!(!format!("{span:?}").contains(SECRET));
}

#[tokio::test]
async fn spans_of_other_crates_are_not_exported_at_any_level() {
    let receiver = Receiver::start().await.unwrap();
    let settings = Settings {
        spans: Some("trace".parse().unwrap()),
        log: "off".parse().unwrap(),
        ..exporting(Export::to(receiver.endpoint()))
    };
    let process = Process::new("gateway", &settings);

    process.run(|| {
        for _ in 0..3 {
            info_span!(target: "trellis_test", "ours").in_scope(|| {
                info_span!(target: "h2::client", "theirs", otel.kind = "client").in_scope(|| {
                    tracing::error!(target: "hyper::proto", "theirs");
                });
            });
        }
    });
    // The export goes through h2, hyper, tonic and tower itself.
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert!(spans.iter().all(|span| span.name == "ours" && span.events.is_empty()));
}

#[tokio::test]
async fn warnings_are_events_of_the_span_and_an_error_is_its_status() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("order", &receiver);

    process.run(|| {
        info_span!(target: "trellis_test", "warned").in_scope(|| {
            tracing::info!(target: "trellis_test", "for the log only");
            tracing::warn!(target: "trellis_test", "careful");
        });
        info_span!(target: "trellis_test", "failed")
            .in_scope(|| tracing::error!(target: "trellis_test", "broken"));
    });
    process.stop().await;

    let spans = receiver.spans();
    let names = |name| named(&spans, name).events.iter().map(|(name, _)| name.clone());
    assert_eq!(names("warned").collect::<Vec<_>>(), ["careful"]);
    assert_eq!(names("failed").collect::<Vec<_>>(), ["broken"]);
    assert_eq!(named(&spans, "warned").error, None);
    assert!(named(&spans, "failed").error.is_some());
}

#[tokio::test]
async fn spans_below_the_level_are_not_exported_and_their_children_have_the_next_parent() {
    let receiver = Receiver::start().await.unwrap();
    let settings = Settings {
        spans: Some("info".parse().unwrap()),
        ..exporting(Export { sampler: all(), ..Export::to(receiver.endpoint()) })
    };
    let process = Process::new("order", &settings);

    process.run(|| {
        info_span!(target: "trellis_test", "outer").in_scope(|| {
            debug_span!(target: "trellis_test", "between").in_scope(|| {
                info_span!(target: "trellis_test", "inner").in_scope(|| ());
            });
        });
    });
    process.stop().await;

    let spans = receiver.spans();
    assert_eq!(spans.len(), 2);
    assert_eq!(named(&spans, "inner").parent, named(&spans, "outer").span_id);
}

#[tokio::test]
async fn attributes_of_an_event_are_not_even_made_where_nobody_samples() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::sampling("order", &receiver, none());

    process.run(|| {
        info_span!(target: "trellis_test", "outer", otel.kind = "server").in_scope(|| {
            event("refused", std::iter::from_fn(|| unreachable!("nobody looks at them")));
        });
    });
    process.stop().await;

    assert_eq!(receiver.spans(), []);
}
