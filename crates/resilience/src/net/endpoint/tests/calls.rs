//! What is known of a call that got no response, and what becomes of calls when their
//! connection ends.

use http::{StatusCode, Version};
use http_body_util::BodyExt as _;
use tokio::time::sleep;

use super::peers::{Peer, Step, answer, goaway, reset, settings, settings_with_streams, wait};
use super::*;

const LAST: u32 = (1 << 31) - 1;

async fn fails(steps: impl Into<Vec<Step>>) -> SendError {
    let peers = Peers::new([Peer::Speaks(steps.into())]);
    endpoint(&peers, Settings::default()).send(whole()).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_says_it_did_not_process_was_not_sent() {
    let refused = reset(1, h2::Reason::REFUSED_STREAM);
    let error = fails([settings(), wait(10), refused, Step::Hang]).await;
    assert_eq!(error.kind, FailureKind::Unsent, "{error:?}");

    for reason in [h2::Reason::NO_ERROR, h2::Reason::ENHANCE_YOUR_CALM] {
        let error = fails([settings(), wait(10), goaway(0, reason)]).await;
        assert_eq!(error.kind, FailureKind::Unsent, "{error:?}");
    }
}

/// Behaviour 38.
#[tokio::test(start_paused = true)]
async fn what_the_peer_may_have_processed_is_lost() {
    let error = fails([settings(), wait(10)]).await;
    assert_eq!(error.kind, FailureKind::ConnectionLost, "it closed: {error:?}");

    let broken = [h2::Reason::INTERNAL_ERROR, h2::Reason::CANCEL, h2::Reason::PROTOCOL_ERROR];
    for reason in broken {
        let error = fails([settings(), wait(10), reset(1, reason), Step::Hang]).await;
        assert_eq!(error.kind, FailureKind::ConnectionLost, "{error:?}");
    }
    for last in [1, LAST] {
        let error = fails([settings(), wait(10), goaway(last, h2::Reason::NO_ERROR)]).await;
        assert_eq!(error.kind, FailureKind::ConnectionLost, "it was taken, and then: {error:?}");
    }
    let garbage = Step::Write(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let error = fails([settings(), wait(10), garbage]).await;
    assert_eq!(error.kind, FailureKind::ConnectionLost, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_peer_that_does_not_speak_http2_was_not_sent() {
    let page = Step::Write(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    for steps in [vec![], vec![wait(100)], vec![page.clone()], vec![page, Step::Hang]] {
        let error = fails(steps).await;
        assert_eq!(error.kind, FailureKind::Unsent);
        assert!(matches!(*unavailable(&error).cause, ConnectionError::Silent(_)), "{error:?}");
    }
}

/// Behaviour 41.
#[tokio::test(start_paused = true)]
async fn after_goaway_a_call_in_flight_ends_where_it_is_and_the_next_goes_to_a_new_connection() {
    let leaving = vec![
        settings(),
        wait(1_000),
        goaway(LAST, h2::Reason::NO_ERROR),
        wait(4_000),
        answer(1),
        Step::Hang,
    ];
    let fresh = vec![settings(), wait(2_100), answer(1), Step::Hang];
    let peers = Peers::new([Peer::Speaks(leaving), Peer::Speaks(fresh)]);
    let endpoint = endpoint(&peers, Settings::default());
    let began = Instant::now();
    let old = async {
        let response = endpoint.send(whole()).await.unwrap();
        (response.status(), began.elapsed())
    };
    let new = async {
        sleep(Duration::from_secs(2)).await;
        let response = endpoint.send(streamed()).await.unwrap();
        (response.status(), began.elapsed())
    };

    let (old, new) = tokio::join!(old, new);

    assert_eq!(old, (StatusCode::OK, Duration::from_secs(5)));
    assert_eq!(new.0, StatusCode::OK);
    let [first, second] = peers.attempts()[..] else { panic!("{:?}", peers.attempts()) };
    // The connection is idle but for one call, so it is the next one that notices.
    assert_eq!((first, second), (Duration::ZERO, Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_overtakes_calls_that_wait_for_a_stream() {
    let one_at_a_time = settings_with_streams(1);
    let goodbye = goaway(1, h2::Reason::NO_ERROR);
    let busy = vec![one_at_a_time, wait(1_000), goodbye, wait(500), answer(1)];
    let fresh = vec![settings(), wait(100), answer(1), answer(3), Step::Hang];
    let waiting = [whole as fn() -> _, streamed];
    for (copied, waiting, expected) in [
        (true, waiting[0], None),
        (false, waiting[0], Some(FailureKind::Unsent)),
        (true, waiting[1], Some(FailureKind::ConnectionLost)),
    ] {
        let peers = Peers::new([Peer::Speaks(busy.clone()), Peer::Speaks(fresh.clone())]);
        let endpoint = endpoint(&peers, Settings::default());
        // Those who wait for the connection would come in any order.
        endpoint.available().await.unwrap();
        let next = async {
            if copied {
                endpoint.send(waiting()).await
            } else {
                endpoint.send_once(waiting()).await
            }
        };
        let (first, next, last) =
            tokio::join!(endpoint.send(whole()), next, endpoint.send_once(whole()));

        assert_eq!(first.unwrap().status(), StatusCode::OK, "it had its stream");
        assert_eq!(next.err().map(|error| error.kind), expected, "it was about to get one");
        assert_eq!(last.unwrap().status(), StatusCode::OK, "it was never near the wire");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_sent_once() {
    let goodbye = || goaway(0, h2::Reason::NO_ERROR);
    let leaves = || Peer::Speaks(vec![settings(), wait(1_000), goodbye()]);
    let stays = || Peer::Speaks(vec![settings(), wait(10), answer(1), Step::Hang]);
    for (script, expected) in [
        (vec![leaves(), stays()], None),
        (vec![leaves(), leaves(), stays()], Some(FailureKind::Unsent)),
    ] {
        let peers = Peers::new(script);
        let began = Instant::now();
        let sent = endpoint(&peers, Settings::default()).send(whole()).await;
        assert_eq!(sent.err().map(|error| error.kind), expected);
        let seconds = if expected.is_none() { 1 } else { 2 };
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_the_origin_and_keeps_the_rest() {
    let endpoint = endpoint(&Peers::new([Peer::Hangs]), Settings::default());
    for (given, directed) in [
        ("/a.B/C?d=e", "http://inventory:50051/a.B/C?d=e"),
        ("https://elsewhere:1/a.B/C", "http://inventory:50051/a.B/C"),
        ("elsewhere:1", "http://inventory:50051/"),
    ] {
        let mut uri = given.parse().unwrap();
        endpoint.shared.direct(&mut uri);
        assert_eq!(uri, directed);
    }
}

/// Behaviour 45.
#[tokio::test(start_paused = true)]
async fn a_dropped_endpoint_ends_after_its_last_call_and_leaves_nothing() {
    let before = tasks();
    let headers_only = super::peers::head(1);
    let body =
        vec![settings(), wait(10), headers_only, wait(5_000), super::peers::data(1, b"late")];
    let peers = Peers::new([Peer::Speaks(body)]);
    let endpoint = endpoint(&peers, Settings::default());
    let response = endpoint.send(whole()).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);

    drop(endpoint);
    let began = Instant::now();
    let body = response.into_body().collect().await.unwrap().to_bytes();

    assert_eq!(body, "late");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    drop(peers);
    settle().await;
    assert_eq!(tasks(), before);
}
