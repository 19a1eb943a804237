//! Calls that are not made.

use futures::FutureExt as _;

use super::*;
use crate::core::{limit, throttle};

/// Waits long, unless it is dropped before.
async fn linger(world: &World) -> Result<u32, ExecError<No>> {
    let operation = Operation::safe("linger").timeout(60 * SECOND).attempts(1);
    let run = world.executor.run(&operation, |_| async {
        tokio::time::sleep(30 * SECOND).await;
        Ok(1)
    });
    run.await
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_bulkhead_are_rejected_until_one_ends() {
    let world = World::with(|builder| builder.bulkhead(2));
    let mut first = Box::pin(linger(&world));
    let mut second = Box::pin(linger(&world));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(world.in_flight(), 2);

    let (third, heard) = world.hear(&Operation::safe("get"), &[]).await;
    assert!(matches!(third, Err(ExecError::Rejected(Rejection::Bulkhead))));
    assert_eq!(heard, 0);
    assert_eq!(world.recorder.counter("resilience_rejections_total", &[("stage", "bulkhead")]), 1);

    drop(first);
    assert_eq!(world.in_flight(), 1);
    assert_eq!(world.calls("abandoned"), 1);
    world.hear(&Operation::safe("get"), &[]).await.0.unwrap();
    assert_eq!(second.await.unwrap(), 1);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_beyond_the_limiter_are_rejected() {
    let settings = limit::Settings { initial: 4, min: 4, max: 4, ..limit::Settings::default() };
    let world = World::with(|builder| builder.limiter(settings));
    let lingering: Vec<_> = (0..4)
        .map(|_| {
            let mut call = Box::pin(linger(&world));
            assert!((&mut call).now_or_never().is_none());
            call
        })
        .collect();
    let (fifth, heard) = world.hear(&Operation::safe("get"), &[]).await;
    assert!(matches!(fifth, Err(ExecError::Rejected(Rejection::Limited))));
    assert_eq!(heard, 0);

    drop(lingering);
    world.hear(&Operation::safe("get"), &[]).await.0.unwrap();
    assert_eq!(world.executor.0.parts.limiter.as_ref().unwrap().inflight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_nearly_all_is_left_alone_by_the_throttle() {
    let world = World::with(|builder| {
        builder.breaker(never_opens()).throttle(throttle::Settings::default())
    });
    let operation = Operation::new("get");
    let (mut heard, mut throttled) = (0, 0);
    for _ in 0..2000 {
        tokio::time::sleep(5 * MILLISECOND).await;
        match world.hear(&operation, &[Err(No::Busy)]).await {
            (Err(ExecError::Rejected(Rejection::Throttled)), 0) => throttled += 1,
            (Err(ExecError::Failed(No::Busy)), 1) => heard += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(throttled > 1000, "{throttled} throttled, {heard} heard");
    assert!(heard > 100, "some must get through to see that it is well again");
}

#[tokio::test(start_paused = true)]
async fn what_the_breaker_rejects_does_not_make_the_throttle_worse() {
    let world = World::with(|builder| builder.throttle(throttle::Settings::default()));
    let breaker = world.executor.breaker().unwrap();
    breaker.set_mode(breaker::Mode::ForcedOpen, world.executor.0.parts.now());
    for _ in 0..1000 {
        let (result, _) = world.hear(&Operation::new("get"), &[]).await;
        assert!(matches!(result, Err(ExecError::Rejected(Rejection::BreakerOpen { .. }))));
    }
    let throttle = world.executor.0.parts.throttle.as_ref().unwrap();
    assert!(throttle.probability(world.executor.0.parts.now()) <= 0.0);
}
