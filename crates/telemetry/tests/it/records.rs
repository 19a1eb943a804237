//! The log at a collector.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, info_span, warn};
use trellis_telemetry::receiver::{Behaviour, Receiver, Record};
use trellis_telemetry::{Export, ExportLogs, Settings};

use crate::kit::{PATIENCE, Process, named};

/// Two seconds are promised; the rest is for a machine that is busy.
const STOP: Duration = Duration::from_secs(5);

const LINES: u64 = 1_000;

fn to(endpoint: String) -> Settings {
    Settings { logs: Some(ExportLogs::to(endpoint)), ..Settings::default() }
}

/// The one record that says `body`.
fn saying<'a>(records: &'a [Record], body: &str) -> &'a Record {
    let mut found = records.iter().filter(|record| record.body == body);
    let record = found.next().unwrap_or_else(|| panic!("no `{body}` in {records:#?}"));
    assert_eq!(found.next(), None, "more than one record `{body}`");
    record
}

#[tokio::test]
async fn a_record_carries_what_is_on_the_list_and_the_ids_of_its_span() {
    let receiver = Receiver::start().await.unwrap();
    let export = Some(Export::to(receiver.endpoint()));
    let process = Process::new("order", &Settings { export, ..to(receiver.endpoint()) });

    process.run(|| {
        let outer = info_span!(target: "trellis_test", "outer", otel.kind = "server");
        outer.in_scope(|| {
            info!(
                target: "trellis_test",
                code = "OK",
                duration_ms = 1.5,
                status = 200_u16,
                email = "ada@example.com",
                error = "no such customer: ada@example.com",
                "served"
            );
            info_span!(target: "trellis_test", "inner", otel.kind = "client").in_scope(|| {
                warn!(target: "trellis_test", parent: &outer, "named");
                error!(target: "trellis_test", parent: None, "apart");
            });
        });
        info!(target: "trellis_test", "{} of {}", 1, 2);
    });
    process.stop().await;

    let records = receiver.records();
    let served = saying(&records, "served");
    let pairs = [("code", "OK"), ("duration_ms", "1.5"), ("status", "200")];
    let attributes: BTreeMap<_, _> =
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(served.attributes, attributes);
    assert_eq!((&*served.severity, &*served.target), ("INFO", "trellis_test"));
    assert_eq!((served.number, &*served.service), (9, "order"));
    assert!(0 < served.time);

    let outer = named(&receiver.spans(), "outer").clone();
    for (body, severity) in [("served", "INFO"), ("named", "WARN")] {
        let record = saying(&records, body);
        assert_eq!((&record.trace_id, &record.span_id), (&outer.trace_id, &outer.span_id));
        assert_eq!(record.severity, severity);
    }
    for (body, severity) in [("apart", "ERROR"), ("1 of 2", "INFO")] {
        let record = saying(&records, body);
        assert_eq!((&*record.trace_id, &*record.span_id), ("", ""), "{body}");
        assert_eq!(record.severity, severity);
    }
    assert_eq!(records.len(), 4);
}

#[tokio::test]
async fn a_record_has_ids_also_where_no_span_is_exported() {
    let receiver = Receiver::start().await.unwrap();
    let process = Process::new("order", &to(receiver.endpoint()));

    process.run(|| {
        info_span!(target: "trellis_test", "call", otel.kind = "server")
            .in_scope(|| info!(target: "trellis_test", "said"));
    });
    let log = process.stop().await;

    let line = log.line("said");
    let records = receiver.records();
    let record = saying(&records, "said");
    assert_eq!(
        (&*record.trace_id, &*record.span_id),
        (line["trace_id"].as_str().unwrap(), line["span_id"].as_str().unwrap(),)
    );
    assert_eq!(receiver.spans(), []);
}

#[tokio::test]
async fn what_is_not_logged_or_is_of_another_crate_is_no_record() {
    let receiver = Receiver::start().await.unwrap();
    let settings = Settings { log: "trace".parse().unwrap(), ..to(receiver.endpoint()) };
    let process = Process::new("order", &settings);

    process.run(|| {
        debug!(target: "trellis_test", "one");
        debug!(target: "h2::client", "theirs");
    });
    process.telemetry.levels().set("info").unwrap();
    process.run(|| {
        debug!(target: "trellis_test", "two");
        info!(target: "trellis_test", "three");
    });
    // The export goes through h2, hyper, tonic and tower itself.
    process.stop().await;

    let bodies: Vec<_> = receiver.records().into_iter().map(|record| record.body).collect();
    assert_eq!(bodies, ["one", "three"]);
}

#[tokio::test]
async fn a_record_is_exported_while_the_process_runs() {
    let receiver = Receiver::start().await.unwrap();
    let delay = Duration::from_millis(10);
    let logs = Some(ExportLogs { delay, ..ExportLogs::to(receiver.endpoint()) });
    let process = Process::new("order", &Settings { logs, ..Settings::default() });

    process.run(|| info!(target: "trellis_test", "said"));

    let arrived = receiver.wait_for_records(|records| !records.is_empty());
    let records = tokio::time::timeout(PATIENCE, arrived).await.unwrap();
    saying(&records, "said");
    process.stop().await;
}

/// Logs into a queue for ten, and stops. What is lost as a record is in the log.
async fn all_are_lost(endpoint: String) {
    let logs = Some(ExportLogs { queue: 10, batch: 10, ..ExportLogs::to(endpoint) });
    let process = Process::new("order", &Settings { logs, ..Settings::default() });

    process.run(|| (0..LINES).for_each(|number| info!(target: "trellis_test", number, "said")));

    let lost = process.telemetry.lost_records();
    assert!((LINES - 20..=LINES).contains(&lost), "{lost}");
    let begin = Instant::now();
    let log = process.stop().await;
    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
    let line = log.line("log records were not exported by the end of the process");
    assert_eq!((&line["lost"], &line["exported"]), (&LINES.into(), &0.into()));
    assert_eq!(log.lines().iter().filter(|line| line["message"] == "said").count() as u64, LINES);
}

#[tokio::test]
async fn a_silent_collector_costs_records_and_two_seconds_at_the_end() {
    let receiver = Receiver::start_as(Behaviour::Silent).await.unwrap();
    all_are_lost(receiver.endpoint()).await;
}

#[tokio::test]
async fn a_collector_that_refuses_records_costs_them_and_two_seconds_at_the_end() {
    let receiver = Receiver::start_as(Behaviour::Refuse).await.unwrap();
    all_are_lost(receiver.endpoint()).await;
}

#[tokio::test]
async fn a_collector_that_is_away_costs_records_and_two_seconds_at_the_end() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    all_are_lost(format!("http://{gone}")).await;
}
