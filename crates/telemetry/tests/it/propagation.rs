//! Headers that tell of a trace, well-formed and not.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use tracing::info_span;
use trellis_telemetry::Settings;
use trellis_telemetry::propagation::{self, Remote};

use crate::kit::Process;

const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(traceparent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(traceparent).expect("a header's value");
    headers.insert("traceparent", value);
    headers
}

#[test]
fn the_specifications_example_is_read() {
    let remote = propagation::extract(&headers(EXAMPLE)).unwrap();

    assert_eq!(remote.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(remote.is_sampled());
    assert_eq!(remote.to_string(), EXAMPLE);
}

#[test]
fn a_later_version_may_say_more() {
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-it-wants";

    assert_eq!(propagation::extract(&headers(later)).unwrap().to_string(), EXAMPLE);
}

#[test]
fn nonsense_begins_a_new_trace() {
    let process = Process::new("gateway", &Settings::default());
    let nonsense = [
        "",
        "00",
        "ff-1-2-3",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ];
    for text in nonsense {
        let parent = propagation::extract(&headers(text));

        assert_eq!(parent, None, "{text}");
        let trace = process.run(|| {
            let serve = info_span!(target: "trellis_test", "serve", otel.kind = "server");
            propagation::trace_id(&serve).unwrap()
        });
        assert!(!text.contains(&trace.to_string()));
    }
}

#[test]
fn two_traceparents_are_nonsense() {
    let mut headers = headers(EXAMPLE);
    headers.append("traceparent", HeaderValue::from_static(EXAMPLE));

    assert_eq!(propagation::extract(&headers), None);
}

#[test]
fn the_state_of_others_goes_on_and_an_endless_one_does_not() {
    let process = Process::new("gateway", &Settings::default());
    let sent = |state: &str| {
        let mut headers = headers(EXAMPLE);
        headers.insert("tracestate", HeaderValue::from_str(state).unwrap());
        process.run(|| {
            let serve = info_span!(target: "trellis_test", "serve", otel.kind = "server");
            propagation::set_parent(&serve, &propagation::extract(&headers).unwrap());
            let mut sent = HashMap::new();
            propagation::inject_span(&serve, &mut sent);
            (sent.remove("traceparent"), sent.remove("tracestate"))
        })
    };

    assert_eq!(sent("vendor=x,other=y"), (Some(EXAMPLE.into()), Some("vendor=x,other=y".into())));
    assert_eq!(sent(&format!("vendor={}", "x".repeat(600))), (Some(EXAMPLE.into()), None));
    assert_eq!(sent("no state"), (Some(EXAMPLE.into()), None));
}

#[test]
fn outside_of_a_trace_nothing_is_told() {
    let process = Process::new("gateway", &Settings::default());
    let mut headers = HeaderMap::new();

    process.run(|| propagation::inject(&mut headers));

    assert!(headers.is_empty());
    assert_eq!(Remote::current(), None);
}

proptest! {
    #[test]
    fn what_is_told_is_what_is_read(trace in 1_u128.., span in 1_u64.., sampled: bool) {
        let text = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));

        let remote = propagation::extract(&headers(&text)).unwrap();

        prop_assert_eq!(remote.is_sampled(), sampled);
        prop_assert_eq!(remote.to_string(), text);
    }

    #[test]
    fn anything_may_be_sent(text in "[0-9a-fA-F+-]{0,70}|[ -~]*") {
        let Some(remote) = propagation::extract(&headers(&text)) else { return Ok(()) };
        prop_assert_eq!(&remote.to_string()[3..53], &text[3..53]);
    }
}
