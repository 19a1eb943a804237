//! A process has one hook for panics, so this test is alone in its process.

use std::io::{self, BufRead as _};
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use serde_json::{Value, json};
use tracing::{Dispatch, dispatcher, info_span};
use trellis_telemetry::{Format, Settings, build};

static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

fn call() {
    let call = info_span!(target: "trellis_test", "call", otel.kind = "server");
    let _call = call.entered();
    let customer = "ada@example.com";
    panic!("about {customer}");
}

/// Returns how many panics so far did not go to the log.
fn panic_in(dispatch: &Dispatch) -> usize {
    let dispatch = dispatch.clone();
    let thread = thread::Builder::new().name("worker".to_owned());
    let panicking = thread.spawn(move || dispatcher::with_default(&dispatch, call));
    panicking.expect("a thread").join().expect_err("a panic");
    ELSEWHERE.load(Relaxed)
}

#[test]
fn a_panic_is_a_line_of_the_log_that_belongs_to_its_call() {
    panic::set_hook(Box::new(|_| {
        ELSEWHERE.fetch_add(1, Relaxed);
    }));
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) =
        build("test", &Settings::default(), Format::Json, Mutex::new(writer)).unwrap();

    telemetry.log_panics();
    let while_shown = panic_in(&dispatch);
    telemetry.levels().set("off").unwrap();
    let while_off = panic_in(&dispatch);
    // What fails from here on is for whoever runs this test.
    drop(panic::take_hook());
    drop(dispatch);

    assert_eq!((while_shown, while_off), (0, 1));
    let lines = io::BufReader::new(reader).lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let errors: Vec<_> = lines.filter(|line| line["level"] == "ERROR").collect();
    let [line] = &errors[..] else { panic!("{errors:?}") };
    // The message is what a collector gets to see.
    assert_eq!(line["message"], "panicked");
    assert_eq!(line["said"], "about ada@example.com");
    assert_eq!(line["thread"], json!("worker"));
    assert!(line["at"].as_str().unwrap().contains("panics.rs:"), "{line}");
    assert!(line["trace_id"].is_string(), "{line}");
}
