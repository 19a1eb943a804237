//! Lines of the log as JSON, whatever is said in them.

use std::fmt::{self, Debug, Display};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tracing::{info, info_span, warn};
use trellis_telemetry::Settings;

use crate::kit::Process;

/// What a field says is what it prints.
struct Prints(String);

impl Debug for Prints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Prints {
    /// In pieces, as most do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write!(f, "{c}"))
    }
}

proptest! {
    #[test]
    fn any_text_comes_out_as_it_went_in(text in any::<String>()) {
        let process = Process::new("order", &Settings::default());

        process.run(|| {
            let prints = Prints(text.clone());
            let span = info_span!(target: "trellis_test", "call", text, %prints);
            span.in_scope(|| info!(target: "trellis_test", text, %prints, ?prints, "{text}"));
        });

        // One line, and one object.
        let line = process.log.text();
        let line: Map<String, Value> = serde_json::from_str(line.strip_suffix('\n').unwrap())?;
        prop_assert_eq!(&line["message"], &text);
        for place in [&line, line["span"].as_object().unwrap()] {
            prop_assert_eq!((&place["text"], &place["prints"]), (&json!(text), &json!(text)));
        }
    }

    #[test]
    fn any_number_comes_out_as_it_went_in(float: f64, int: i64, count: u64) {
        let process = Process::new("order", &Settings::default());

        process.run(|| info!(target: "trellis_test", float, int, count, "said"));

        let line = process.log.line("said");
        prop_assert_eq!((&line["int"], &line["count"]), (&json!(int), &json!(count)));
        // serde_json reads it less exactly than it was written.
        prop_assert!(line["float"].is_number());
        let text = process.log.text();
        let (_, digits) = text.split_once(r#""float":"#).unwrap();
        let (digits, _) = digits.split_once(',').unwrap();
        prop_assert_eq!(digits.parse::<f64>()?.to_bits(), float.to_bits());
    }
}

#[test]
fn numbers_that_json_does_not_have_are_null() {
    let process = Process::new("order", &Settings::default());

    process.run(|| {
        let (none, all, one) = (f64::NAN, f64::NEG_INFINITY, 1.0);
        info!(target: "trellis_test", none, all, one, "said");
    });

    let line = process.log.line("said");
    assert_eq!((&line["none"], &line["all"]), (&Value::Null, &Value::Null));
    assert!(process.log.text().contains(r#""one":1.0"#));
}

#[test]
fn a_line_says_when_and_where_it_was_logged_and_how_bad_it_is() {
    let process = Process::new("order", &Settings::default());

    process.run(|| warn!(target: "trellis_test", r#type = "x", is_done = true, "said"));

    let mut line = process.log.line("said");
    let time = line["timestamp"].take();
    let time = time.as_str().unwrap();
    assert!(time.len() == 27 && time.ends_with('Z') && time.starts_with("20"), "{time}");
    let expected = json!({
        "timestamp": null,
        "level": "WARN",
        "message": "said",
        "type": "x",
        "is_done": true,
        "target": "trellis_test",
    });
    assert_eq!(line, expected);
    let text = process.log.text();
    assert!(
        text.starts_with(r#"{"timestamp":""#) && text.contains(r#"","level":"WARN","#),
        "{text}"
    );
}

#[test]
fn a_line_of_the_crate_log_says_where_it_comes_from() {
    let process = Process::new("order", &Settings::default());

    process.run(|| {
        let arguments = format_args!("said");
        let record = tracing_log::log::Record::builder()
            .level(tracing_log::log::Level::Warn)
            .target("rustls::client")
            .file(Some("client.rs"))
            .args(arguments)
            .build();
        tracing_log::format_trace(&record).unwrap();
    });

    let mut line = process.log.line("said");
    line["timestamp"].take();
    let expected = json!({
        "timestamp": null,
        "level": "WARN",
        "message": "said",
        "target": "rustls::client",
    });
    assert_eq!(line, expected);
}
