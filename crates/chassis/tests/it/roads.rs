//! Both roads behave alike, and neither lets a broken peer through.

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::Code;
use trellis_api::error::reason;
use trellis_api::recommendation::v1::AuditRecommendationsRequest;
use trellis_chassis::{Shutdown, transport};
use trellis_consistency::{Tokens, context};

use crate::probe::{Probe, ask, client, said, with_telemetry};

#[tokio::test]
async fn a_panic_fails_one_call_and_not_the_next() {
    for mut probe in [Probe::default().local(), Probe::default().remote().await] {
        let status = probe.recommend(ask(&["panic"])).await.unwrap_err();

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status).as_deref(), Some("INTERNAL"));
        assert!(!status.message().contains("on purpose"));
        probe.recommend(ask(&["left"])).await.expect("the service lives");
    }
}

#[tokio::test]
async fn calls_do_not_wait_for_one_another() {
    for probe in [Probe::default().local(), Probe::default().remote().await] {
        let (mut one, mut other) = (probe.clone(), probe);

        let (held, freed) =
            tokio::join!(one.recommend(ask(&["hold"])), other.recommend(ask(&["free"])),);

        held.unwrap();
        freed.unwrap();
    }
}

#[tokio::test]
async fn a_trace_goes_through_all_services_and_comes_back() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    with_telemetry();
    for mut probe in [Probe::default().local(), Probe::default().remote().await] {
        let mut request = ask(&["trace"]);
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());

        let response = probe.recommend(request).await.unwrap();

        assert_eq!(response.metadata().get("trace-id").unwrap(), TRACE);
        assert_eq!(said(response), TRACE);
    }
}

#[tokio::test]
async fn what_a_call_wrote_is_told_to_its_caller_and_to_the_calls_that_follow() {
    for mut probe in [Probe::default().local(), Probe::default().remote().await] {
        let nothing = said(probe.recommend(ask(&["needed"])).await.unwrap());
        let caller = async {
            probe.recommend(ask(&["write"])).await.unwrap();
            let strictly = context::strictly(Box::pin(probe.recommend(ask(&["needed"])))).await;
            [strictly, probe.recommend(ask(&["needed"])).await].map(|answer| said(answer.unwrap()))
        };
        let (needed, seen) = context::scope(Tokens::default(), Box::pin(caller)).await;

        assert_eq!(nothing, "");
        assert_eq!(needed, ["primary,probe/0:1:2A", "probe/0:1:2A"]);
        assert_eq!(seen.to_string(), "probe/0:1:2A");
        assert_eq!(said(probe.recommend(ask(&["needed"])).await.unwrap()), "", "it is another's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relayed_call_has_its_callers_trace() {
    with_telemetry();
    let next = Probe::default().local();
    let mut probe = Probe { next: Some(next), ..Probe::default() }.local();

    let response = probe.recommend(ask(&["relay", "trace"])).await.unwrap();

    let trace = response.metadata().get("trace-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(said(response), trace);
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut probe = client(listener.local_addr().unwrap());
    drop(listener);

    let status = probe.recommend(ask(&["left"])).await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status).as_deref(), Some("UNSENT"));
    assert!(!status.message().contains("127.0.0.1"), "{status:?}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut probe = client(listener.local_addr().unwrap());
    let hang_up = async { drop(listener.accept().await.unwrap()) };

    let (answer, ()) = tokio::join!(probe.recommend(ask(&["left"])), hang_up);

    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn only_a_plain_uri_is_a_road() {
    for uri in ["", "inventory", "inventory:8080", "https://inventory", "http://"] {
        let error = transport::remote(uri).unwrap_err();

        assert!(error.to_string().contains("http://inventory:50051"), "{uri}: {error}");
    }
}

#[test]
fn a_stream_whose_peer_dies_is_unavailable() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let address = there.block_on(Probe::default().listening(&Shutdown::default()));
    let request = AuditRecommendationsRequest::default();
    let stream = here.block_on(async { client(address).audit_recommendations(request).await });
    let mut stream = stream.unwrap().into_inner();

    there.shutdown_background();

    let status = here.block_on(stream.message()).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status).as_deref(), Some("CONNECTION_LOST"));
}
