//! Collectors as they are: silent, refusing, away.

use std::net::TcpListener;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info_span;
use trellis_telemetry::Export;
use trellis_telemetry::receiver::{Behaviour, Receiver};

use crate::kit::{Log, Process, exporting, named};

/// Two seconds are promised; the rest is for a machine that is busy.
const STOP: Duration = Duration::from_secs(5);

const SPANS: u64 = 1_000;

/// A process whose queue holds ten spans.
fn process(endpoint: String) -> Process {
    let export = Export { queue: 10, batch: 10, ..Export::to(endpoint) };
    Process::new("order", &exporting(export))
}

fn work(process: &Process) {
    process.run(|| {
        for _ in 0..SPANS {
            info_span!(target: "trellis_test", "work", otel.kind = "server").in_scope(|| ());
        }
    });
}

async fn stop(process: Process) -> Log {
    let begin = Instant::now();
    let log = process.stop().await;
    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
    log
}

#[tokio::test]
async fn a_silent_collector_costs_spans_and_two_seconds_at_the_end() {
    let receiver = Receiver::start_as(Behaviour::Silent).await.unwrap();
    let process = process(receiver.endpoint());

    work(&process);

    // Ten wait, ten more at most are under way, and none is through.
    let dropped = process.telemetry.lost_spans();
    assert!((SPANS - 20..=SPANS - 10).contains(&dropped), "{dropped}");
    let log = stop(process).await;
    let line = log.line("spans were not exported by the end of the process");
    assert_eq!((&line["lost"], &line["exported"]), (&SPANS.into(), &0.into()));
}

#[tokio::test]
async fn a_collector_that_refuses_costs_spans_and_two_seconds_at_the_end() {
    let receiver = Receiver::start_as(Behaviour::Refuse).await.unwrap();
    let process = process(receiver.endpoint());

    work(&process);

    let log = stop(process).await;
    let line = log.line("spans were not exported by the end of the process");
    assert_eq!(line["lost"], SPANS);
    assert_eq!(line["level"], "WARN");
}

#[tokio::test]
async fn a_batch_that_was_refused_once_is_sent_again() {
    let receiver = Receiver::start_as(Behaviour::RefuseFirst).await.unwrap();
    let process = process(receiver.endpoint());

    process.run(|| info_span!(target: "trellis_test", "work").in_scope(|| ()));

    let log = stop(process).await;
    named(&receiver.spans(), "work");
    assert_eq!(log.text(), "");
}

#[tokio::test]
async fn what_a_collector_rejects_of_a_batch_is_counted_as_lost() {
    let receiver = Receiver::start_as(Behaviour::RejectOne).await.unwrap();
    let process = process(receiver.endpoint());

    process.run(|| {
        info_span!(target: "trellis_test", "one").in_scope(|| ());
        info_span!(target: "trellis_test", "two").in_scope(|| ());
    });

    let log = stop(process).await;
    let line = log.line("spans were not exported by the end of the process");
    assert_eq!((&line["lost"], &line["exported"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn a_batch_may_be_compressed() {
    let receiver = Receiver::start().await.unwrap();
    let export = Export { gzip: true, ..Export::to(receiver.endpoint()) };
    let process = Process::new("order", &exporting(export));

    process.run(|| info_span!(target: "trellis_test", "work").in_scope(|| ()));
    stop(process).await;

    named(&receiver.spans(), "work");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_two_seconds_at_the_end() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let process = process(format!("http://{gone}"));

    work(&process);

    let log = stop(process).await;
    assert_eq!(log.line("spans were not exported by the end of the process")["lost"], SPANS);
}

#[tokio::test]
async fn a_collector_that_answers_no_connection_costs_spans_and_two_seconds_at_the_end() {
    // The system accepts for it, and nobody reads.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let process = process(format!("http://{}", deaf.local_addr().unwrap()));

    work(&process);

    let log = stop(process).await;
    assert_eq!(log.line("spans were not exported by the end of the process")["lost"], SPANS);
}

#[tokio::test]
async fn a_good_collector_gets_what_was_under_way_and_nothing_is_said() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::exporting("order", &receiver);

    process.run(|| info_span!(target: "trellis_test", "last").in_scope(|| ()));
    assert_eq!(receiver.spans(), [], "it waits for others");
    let log = stop(process).await;

    named(&receiver.spans(), "last");
    assert_eq!(log.text(), "");
}

#[tokio::test]
async fn a_span_is_exported_while_the_process_runs() {
    let receiver = Receiver::start().await.unwrap();
    let delay = Duration::from_millis(10);
    let process =
        Process::new("order", &exporting(Export { delay, ..Export::to(receiver.endpoint()) }));

    process.run(|| info_span!(target: "trellis_test", "work").in_scope(|| ()));

    let arrived = receiver.wait_for(|spans| !spans.is_empty());
    let spans = tokio::time::timeout(crate::kit::PATIENCE, arrived).await.unwrap();
    named(&spans, "work");
    process.stop().await;
}
