//! A process has one subscriber, so this test is alone in its process.

use trellis_telemetry::{Settings, propagation, start};

#[tokio::test]
async fn telemetry_is_set_up_once_for_the_whole_process() {
    let telemetry = start("trellis", &Settings::default()).unwrap();

    let trace = std::thread::spawn(|| {
        let span = tracing::info_span!(target: "trellis_test", "elsewhere", otel.kind = "server");
        propagation::trace_id(&span)
    });

    assert!(trace.join().unwrap().is_some());
    assert!(start("trellis", &Settings::default()).is_err());
    telemetry.stop().await;
}
