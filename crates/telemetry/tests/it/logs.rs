//! Lines of the log, and the trace that they belong to.

use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::{debug_span, info, info_span};
use trellis_telemetry::receiver::Receiver;
use trellis_telemetry::{Format, Settings, propagation};

use crate::kit::{Process, named};

fn ids(line: &Value) -> (&str, &str) {
    let id = |name: &str| line[name].as_str().expect("an id");
    (id("trace_id"), id("span_id"))
}

#[tokio::test]
async fn a_line_carries_the_ids_of_the_very_span_that_it_is_logged_in() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("order", &receiver);

    process.run(|| {
        info!(target: "trellis_test", "before");
        let outer = info_span!(target: "trellis_test", "outer");
        outer.in_scope(|| {
            info!(target: "trellis_test", "outside");
            // Not for the log, but the trace knows it.
            debug_span!(target: "trellis_test", "inner").in_scope(|| {
                info!(target: "trellis_test", "inside");
                info!(target: "h2", "of another crate");
                info!(target: "trellis_test", parent: &outer, "named");
                info!(target: "trellis_test", parent: None, "apart");
            });
        });
    });
    let log = process.stop().await;

    let spans = receiver.spans();
    let expected = [
        ("outside", "outer"),
        ("inside", "inner"),
        ("of another crate", "inner"),
        ("named", "outer"),
    ];
    for (message, span) in expected {
        let span = named(&spans, span);
        assert_eq!(ids(&log.line(message)), (&*span.trace_id, &*span.span_id), "{message}");
    }
    for message in ["before", "apart"] {
        assert_eq!(log.line(message).get("trace_id"), None, "{message}");
    }
}

#[test]
fn a_line_is_one_object_with_the_fields_of_its_span() {
    let process = Process::new("order", &Settings::default());

    process.run(|| {
        let span = info_span!(
            target: "trellis_test",
            "call",
            otel.kind = "server",
            method = "a \"b\" {}",
            retry = true,
            code = Empty,
            empty = Empty,
        );
        span.in_scope(|| {
            span.record("code", 5);
            span.record("code", 7);
            info!(target: "trellis_test", items = 3, "done");
        });
    });

    let line = process.log.line("done");
    let span = json!({"name": "call", "method": "a \"b\" {}", "retry": true, "code": 7});
    assert_eq!(line["span"], span);
    assert_eq!((&line["items"], &line["level"]), (&json!(3), &json!("INFO")));
    assert_eq!(line["target"], "trellis_test");
    assert!(line["timestamp"].is_string());
}

#[test]
fn a_span_without_fields_gets_some_later() {
    let process = Process::new("order", &Settings::default());

    process.run(|| {
        let span = info_span!(target: "trellis_test", "call", code = Empty);
        span.record("code", "OK");
        span.in_scope(|| info!(target: "trellis_test", "done"));
    });

    assert_eq!(process.log.line("done")["span"], json!({"name": "call", "code": "OK"}));
}

#[test]
fn a_span_that_the_log_does_not_show_gives_its_lines_their_ids_and_no_more() {
    let process = Process::new("order", &Settings::default());

    let trace = process.run(|| {
        let call = info_span!(
            target: "trellis_test",
            "call",
            otel.kind = "server",
            method = "x",
            trellis.log.hidden = Empty,
        );
        call.in_scope(|| {
            info!(target: "trellis_test", "outside");
            info_span!(target: "trellis_test", "inner")
                .in_scope(|| info!(target: "trellis_test", "inside"));
        });
        propagation::trace_id(&call).unwrap().to_string()
    });

    assert_eq!(process.log.line("outside").get("span"), None);
    assert_eq!(process.log.line("inside")["span"], json!({"name": "inner"}));
    for message in ["outside", "inside"] {
        assert_eq!(ids(&process.log.line(message)).0, trace);
    }
}

#[test]
fn people_on_a_terminal_get_the_ids_at_the_end_of_the_line() {
    let process = Process::with_format("order", &Settings::default(), Format::Terminal);

    let trace = process.run(|| {
        let span = info_span!(target: "trellis_test", "call", otel.kind = "server", retry = true);
        span.in_scope(|| info!(target: "trellis_test", "done"));
        propagation::trace_id(&span).unwrap()
    });

    let text = process.log.text();
    let line = text.strip_suffix('\n').unwrap();
    let (_, end) = line.rsplit_once(" trace_id=").unwrap();
    assert!(end.starts_with(&format!("{trace} span_id=")), "{line}");
    assert!(line.contains("done") && line.contains("retry"), "{line}");
    assert!(!line.contains("otel") && line.lines().count() == 1, "{line}");
}

#[test]
fn levels_change_while_the_process_runs() {
    let process = Process::new("order", &Settings::default());
    let levels = process.telemetry.levels();
    let say = |message: &str| {
        process.run(|| {
            tracing::debug!(target: "trellis_test", "{message}");
            tracing::debug!(target: "trellis_other", "not: {message}");
        });
    };

    assert_eq!(levels.get(), "info");
    say("one");
    levels.set("trellis_test=debug,warn").unwrap();
    say("two");
    let refused = levels.set("trellis_test=loud").unwrap_err().to_string();
    say("three");
    levels.set("info").unwrap();
    say("four");

    let said: Vec<_> =
        process.log.lines().into_iter().map(|mut line| line["message"].take()).collect();
    assert_eq!(said, ["two", "three"]);
    assert!(refused.contains("trellis_test=loud"), "{refused}");
}

#[test]
fn the_log_says_how_its_levels_were_changed_if_any_of_them_shows_that() {
    let process = Process::new("order", &Settings::default());
    let levels = process.telemetry.levels();

    for filter in ["debug", "off", "error", "warn,trellis_test=trace"] {
        process.run(|| levels.set(filter).unwrap());
    }

    let changes: Vec<_> = process
        .log
        .lines()
        .into_iter()
        .map(|line| {
            assert_eq!(line["message"], "what is logged was changed");
            [
                line["before"].as_str().unwrap().to_owned(),
                line["after"].as_str().unwrap().to_owned(),
            ]
        })
        .collect();
    assert_eq!(
        changes,
        [["info", "debug"], ["debug", "off"], ["error", "trellis_test=trace,warn"]]
    );
}
