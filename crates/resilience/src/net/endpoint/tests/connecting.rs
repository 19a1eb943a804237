//! When an endpoint connects, and how long it leaves a peer alone.

use tokio::time::{sleep, timeout_at};

use super::peers::{Peer, Step, goaway, settings as greeting, wait};
use super::*;

const FOREVER: Duration = Duration::from_secs(1 << 32);
const AT_ONCE: Duration = Duration::ZERO;
const SERVES: Peer = Peer::Serves { after: AT_ONCE, lives: FOREVER };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_connector_that_never_ends_holds_no_call_beyond_its_deadline() {
    let peers = Peers::new([Peer::Hangs]);
    let patient = Settings { connect_timeout: FOREVER, ..Settings::default() };
    let before = tasks();
    let endpoint = endpoint(&peers, patient);

    let began = Instant::now();
    let deadline = began + ms(300);
    let late = timeout_at(deadline, endpoint.send(whole())).await;

    assert!(late.is_err());
    assert_eq!(began.elapsed(), ms(300));
    assert_eq!(tasks(), before + 1, "the next call need not begin anew");
    drop(endpoint);
    settle().await;
    assert_eq!(tasks(), before);
    assert_eq!(began.elapsed(), ms(300), "nothing had to be waited for");
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_connect_that_takes_too_long_ends_in_a_call_that_was_not_sent() {
    for slow in [Peer::Hangs, Peer::Speaks(vec![Step::Hang])] {
        let peers = Peers::new([slow]);
        let endpoint = endpoint(&peers, Settings::default());

        let began = Instant::now();
        let error = endpoint.send(whole()).await.unwrap_err();

        assert_eq!(began.elapsed(), ms(500));
        assert_eq!(error.kind, FailureKind::Unsent);
        let cause = &*unavailable(&error).cause;
        assert!(matches!(cause, ConnectionError::TimedOut(limit) if *limit == ms(500)));
    }
}

#[tokio::test(start_paused = true)]
async fn in_backoff_a_call_fails_at_once_and_says_how_long_that_will_be_so() {
    let peers = Peers::new([Peer::Refuses]);
    let slow = Backoff { base: ms(10_000), jitter: Jitter::Equal, ..Settings::default().backoff };
    let endpoint = endpoint(&peers, Settings { backoff: slow, ..Settings::default() });
    let first = endpoint.send(whole()).await.unwrap_err();
    let left = unavailable(&first).left;
    assert!((ms(5_000)..=ms(10_000)).contains(&left), "{left:?}");

    sleep(ms(1_000)).await;
    let began = Instant::now();
    let second = endpoint.send(whole()).await.unwrap_err();

    assert_eq!(began.elapsed(), AT_ONCE);
    assert_eq!(second.kind, FailureKind::Unsent);
    assert_eq!(unavailable(&second).left, left.saturating_sub(ms(1_000)));
    assert_eq!(peers.attempts().len(), 1);
    assert_eq!(endpoint.state(), State::Backoff);
    assert!(!endpoint.is_available());
}

#[tokio::test(start_paused = true)]
async fn who_has_only_this_endpoint_can_wait_for_the_next_attempt() {
    let peers = Peers::new([Peer::Refuses, Peer::Hangs, SERVES]);
    let endpoint = endpoint(&peers, Settings::default());
    endpoint.available().await.unwrap_err();
    assert_eq!(peers.attempts(), [AT_ONCE], "the first attempt failed");

    let error = endpoint.available().await.unwrap_err();
    assert!(matches!(*error.cause, ConnectionError::TimedOut(_)), "the second one, too");
    assert_eq!(endpoint.state(), State::Backoff);

    endpoint.available().await.unwrap();
    assert_eq!((endpoint.state(), endpoint.is_available()), (State::Ready, true));
    endpoint.send(whole()).await.unwrap();
    assert_eq!(peers.attempts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_double_up_to_ten_seconds_and_are_spread_over_all_of_it() {
    let mut at_cap = Vec::new();
    let mut firsts = Vec::new();
    for seed in 0..50 {
        let peers = Peers::new([Peer::Refuses]);
        let endpoint = endpoint_in(&peers, Settings::default(), &seeded(seed));
        endpoint.send(whole()).await.unwrap_err();
        sleep(Duration::from_secs(200)).await;
        let attempts = peers.attempts();
        let waits: Vec<_> = attempts.windows(2).map(|two| two[1].saturating_sub(two[0])).collect();
        for (n, wait) in waits.iter().enumerate() {
            let bound = ms(100 << n.min(7)).min(ms(10_000)) + ms(1);
            assert!(*wait <= bound, "wait {n} of {wait:?} is beyond {bound:?}");
        }
        firsts.push(waits[0]);
        at_cap.extend_from_slice(&waits[7..]);
    }

    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 30, "those who failed together do not come back together");
    // Uniform: the share below each tenth of the range is about that tenth.
    let total = at_cap.len();
    assert!(total > 1_000);
    for tenth in 1..10 {
        let below = at_cap.iter().filter(|wait| **wait < Duration::from_secs(tenth)).count();
        let expected = total * usize::try_from(tenth).unwrap() / 10;
        assert!(below.abs_diff(expected) * 20 < total, "{below} of {total} below {tenth} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_greets_and_leaves_does_not_reset_the_wait() {
    let leaves = vec![greeting(), wait(10), goaway(0, h2::Reason::NO_ERROR)];
    for peer in
        [Peer::Speaks(vec![greeting(), wait(10)]), Peer::Speaks(leaves), Peer::Speaks(vec![])]
    {
        let peers = Peers::new([peer]);
        let endpoint = endpoint_in(&peers, Settings::default(), &seeded(1));
        let end = Instant::now() + Duration::from_mins(1);
        while Instant::now() < end {
            let error = endpoint.send(whole()).await.unwrap_err();
            sleep(unavailable_for(&error).max(ms(1))).await;
        }
        // A wait of a hundred milliseconds each time would allow for 600 and more.
        let attempts = peers.attempts().len();
        assert!(attempts < 40, "{attempts} attempts in a minute");
    }
}

fn unavailable_for(error: &SendError) -> Duration {
    error.source.downcast_ref::<Unavailable>().map_or(AT_ONCE, |error| error.left)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lived_for_a_second_resets_the_wait() {
    let lives = Peer::Serves { after: AT_ONCE, lives: ms(1_000) };
    let mut script = vec![Peer::Refuses; 12];
    script.extend([lives, Peer::Refuses, SERVES]);
    let peers = Peers::new(script);
    let endpoint = endpoint_in(&peers, Settings::default(), &seeded(3));
    while endpoint.available().await.is_err() {}
    assert_eq!(peers.attempts().len(), 13);
    endpoint.send(whole()).await.unwrap();

    sleep(ms(1_200)).await;

    let attempts = peers.attempts();
    assert_eq!(attempts.len(), 15, "lost, tried at once, refused, and soon tried again");
    assert!(attempts[14].saturating_sub(attempts[13]) <= ms(100));
    assert_eq!(endpoint.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_that_is_used_is_opened_again_without_a_call() {
    let lives = |seconds| Peer::Serves { after: AT_ONCE, lives: Duration::from_secs(seconds) };
    let peers = Peers::new([lives(40), lives(100), SERVES]);
    let endpoint = endpoint(&peers, Settings::default());
    assert_eq!((endpoint.state(), peers.attempts().len()), (State::Idle, 0));

    endpoint.send(whole()).await.unwrap();
    sleep(Duration::from_secs(41)).await;
    assert_eq!(peers.attempts().len(), 2, "it was used not long before it was lost");
    assert_eq!(endpoint.state(), State::Ready);

    sleep(Duration::from_secs(100)).await;
    assert_eq!(peers.attempts().len(), 2, "the second one never was");
    assert_eq!((endpoint.state(), endpoint.is_available()), (State::Idle, true));

    endpoint.send(whole()).await.unwrap();
    assert_eq!(peers.attempts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_loss_and_a_return_are_told_once() {
    let lives = Peer::Serves { after: AT_ONCE, lives: ms(2_000) };
    let peers = Peers::new([lives, Peer::Refuses, Peer::Hangs, Peer::Refuses, SERVES]);
    let heard = Arc::new(Heard::default());
    let listener = Arc::<Heard>::clone(&heard);
    let environment = Environment { listener, ..seeded(1) };
    let endpoint = endpoint_in(&peers, Settings::default(), &environment);

    endpoint.send(whole()).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(peers.attempts().len(), 5);

    let connected =
        Event::EndpointConnected { target: "inventory".into(), endpoint: "10.0.0.1:50051".into() };
    let events = heard.0.lock().unwrap().clone();
    let [first, Event::EndpointLost { endpoint, cause, .. }, last] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((first, last), (&connected, &connected));
    assert_eq!(&**endpoint, "10.0.0.1:50051");
    assert!(cause.starts_with("the connection was lost: "), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_noticed_with_and_without_a_call() {
    let silent = || Peer::Speaks(vec![greeting(), Step::Hang]);
    let peers = Peers::new([silent(), silent(), SERVES]);
    let endpoint = endpoint(&peers, Settings::default());

    let began = Instant::now();
    let error = endpoint.send(whole()).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::ConnectionLost);
    assert_eq!(began.elapsed(), ms(15_000), "ten until it is asked, five until it is given up");

    assert_eq!(endpoint.available().await.map_err(|_| ()), Ok(()));
    let began = Instant::now();
    assert_eq!(endpoint.state(), State::Ready);
    sleep(ms(15_001)).await;
    assert_ne!(endpoint.state(), State::Ready);
    assert_eq!(began.elapsed(), ms(15_001));
}
