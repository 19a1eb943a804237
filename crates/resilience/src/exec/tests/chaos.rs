//! Faults in place of answers.

use tonic::Code;

use super::*;
use crate::chaos::{Effect, Rule};

const GET: fn() -> Operation = || Operation::safe("get").attempts(1);
const PAY: fn() -> Operation = || Operation::new("pay");

fn with(fault: Effect) -> World {
    let world = World::new();
    world.chaos.set(vec![Rule::new(fault).target("peer")]).unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn rules_for_others_change_nothing() {
    let world = World::new();
    let rules = vec![
        Rule::new(Effect::Hang).target("another"),
        Rule::new(Effect::Hang).target("peer").method("put"),
    ];
    world.chaos.set(rules).unwrap();
    assert_eq!(world.hear(&GET(), &[]).await.0.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn latency_comes_before_the_call_and_within_its_limit() {
    let world = with(Effect::latency(300 * MILLISECOND));
    let began = Instant::now();
    assert_eq!(world.hear(&GET(), &[]).await.0.unwrap(), 1);
    assert_eq!(began.elapsed(), 300 * MILLISECOND);

    let hasty = GET().timeout(200 * MILLISECOND);
    let (result, heard) = world.hear(&hasty, &[]).await;
    assert!(matches!(result, Err(ExecError::DeadlineExceeded { last: None })));
    assert_eq!(heard, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_the_answer_of_a_peer_that_is_not_called() {
    let world = with(Effect::Error(Code::Unavailable));
    let (result, heard) = world.hear(&Operation::safe("get"), &[]).await;
    let injected = Rejection::Injected(Code::Unavailable);
    assert!(matches!(result, Err(ExecError::Rejected(rejection)) if rejection == injected));
    assert_eq!(heard, 0);
    let attempts = world.recorder.counter("resilience_attempts_total", &[]);
    assert_eq!(attempts, 3, "it is retried as the real one would be");
    assert_eq!(world.recorder.counter("resilience_rejections_total", &[("stage", "chaos")]), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_open_the_breaker_as_real_ones_would() {
    for (code, expected) in [
        (Code::Unavailable, breaker::State::Open),
        (Code::Internal, breaker::State::Open),
        (Code::DeadlineExceeded, breaker::State::Open),
        (Code::NotFound, breaker::State::Closed),
    ] {
        let world = World::with(|builder| builder);
        world.chaos.set(vec![Rule::new(Effect::Error(code))]).unwrap();
        for _ in 0..5 {
            world.hear(&GET(), &[]).await.0.unwrap_err();
        }
        assert_eq!(world.state(), expected, "after {code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_ends_with_its_deadline() {
    let world = with(Effect::Hang);
    let began = Instant::now();
    let (result, heard) = world.hear(&GET(), &[]).await;
    assert!(matches!(result, Err(ExecError::DeadlineExceeded { last: None })));
    assert_eq!((heard, began.elapsed()), (0, SECOND));

    let (result, _) = world.hear(&PAY(), &[]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: None })));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_a_lost_connection_of_a_call_that_was_not_made() {
    let world = with(Effect::Reset);
    let (result, heard) = world.hear(&PAY(), &[]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: None })));
    assert_eq!(heard, 0);

    let (result, _) = world.hear(&GET(), &[]).await;
    assert!(matches!(result, Err(ExecError::Rejected(Rejection::Injected(Code::Unavailable)))));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_is_a_call_that_was_made() {
    let world = with(Effect::DropResponse);
    let (result, heard) = world.hear(&PAY(), &[]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: None })));
    assert_eq!(heard, 1, "the peer has done it");

    let once = Rule::new(Effect::DropResponse).hits(1);
    world.chaos.set(vec![once]).unwrap();
    let (result, heard) = world.hear(&Operation::with_key("pay"), &[]).await;
    assert_eq!((result.unwrap(), heard), (2, 2), "with a key, the second answer settles it");
}
