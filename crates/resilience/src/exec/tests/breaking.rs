//! Calls and the breaker.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use super::*;
use crate::core::breaker::{Mode, State};
use crate::core::budget;

async fn panic_once(world: &World) -> Box<dyn std::any::Any + Send> {
    let operation = Operation::safe("get");
    // Without the hook, which would print it.
    let run = world.executor.run(&operation, |_| async {
        std::panic::resume_unwind(Box::new("oh no"));
        #[expect(unreachable_code, reason = "it gives the closure its type")]
        Ok(())
    });
    AssertUnwindSafe(run).catch_unwind().await.unwrap_err()
}

/// Behaviour 11.
#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_goes_on_and_leaves_nothing_behind() {
    let world = World::with(|builder| builder);
    for number in 1..=5 {
        assert_eq!(world.state(), State::Closed, "before the panic number {number}");
        let payload = panic_once(&world).await;
        assert_eq!(payload.downcast_ref(), Some(&"oh no"));
        assert_eq!(world.in_flight(), 0);
    }
    assert_eq!(world.state(), State::Open);
    assert_eq!(world.calls("abandoned"), 5);

    // As a probe, it fails and gives its place back.
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(world.state(), State::HalfOpen);
    panic_once(&world).await;
    assert_eq!(world.state(), State::Open);
    tokio::time::sleep(4 * SECOND).await;
    for _ in 0..3 {
        world.hear(&Operation::safe("get"), &[]).await.0.unwrap();
    }
    assert_eq!(world.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_closure_itself_is_one_too() {
    let world = World::with(|builder| builder);
    let operation = Operation::safe("get");
    for _ in 0..5 {
        let run = world.executor.run(&operation, |_| -> std::future::Ready<Result<(), No>> {
            std::panic::resume_unwind(Box::new("oh no"))
        });
        AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
    }
    assert_eq!((world.state(), world.in_flight()), (State::Open, 0));
}

/// Behaviour 12.
#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_late_open_the_breaker_and_those_given_up_early_do_not() {
    for (patience, expected) in [(300, State::Open), (1, State::Closed)] {
        let settings =
            breaker::Settings { slow: Some(200 * MILLISECOND), ..breaker::Settings::default() };
        let world = World::with(|builder| builder.breaker(settings));
        let operation = Operation::safe("get").timeout(60 * SECOND);
        let calls = (0..200).map(|_| {
            let run = world.executor.run(&operation, |_| std::future::pending::<Result<(), No>>());
            tokio::time::timeout(patience * MILLISECOND, run)
        });
        for cut in futures::future::join_all(calls).await {
            assert!(cut.is_err());
        }
        assert_eq!(world.state(), expected, "after {patience} ms each");
        assert_eq!(world.in_flight(), 0);
    }
}

/// Behaviour 30.
#[tokio::test(start_paused = true)]
async fn a_call_that_the_breaker_rejects_is_not_retried_and_costs_nothing() {
    let world = World::with(|builder| builder.limiter(crate::core::limit::Settings::default()));
    let broken = Operation::safe("get").attempts(1);
    for _ in 0..5 {
        world.hear(&broken, &[Err(No::Broken)]).await.0.unwrap_err();
    }
    let before = world.tokens();
    let began = Instant::now();
    let (result, heard) = world.hear(&Operation::safe("get"), &[]).await;
    let Err(ExecError::Rejected(Rejection::BreakerOpen { retry_after })) = result else {
        panic!("{result:?}");
    };
    assert!(Duration::ZERO < retry_after && retry_after <= SECOND, "{retry_after:?}");
    assert_eq!((heard, began.elapsed()), (0, Duration::ZERO));
    assert_eq!(world.tokens(), before);
    assert_eq!(world.recorder.counter("resilience_attempts_total", &[]), 5);
    assert_eq!(world.executor.0.parts.limiter.as_ref().unwrap().inflight(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retried_once_the_breaker_has_opened() {
    let mut world = World::with(|builder| builder);
    let once = Operation::safe("get").attempts(1);
    for _ in 0..4 {
        world.hear(&once, &[Err(No::Broken)]).await.0.unwrap_err();
    }
    let before = world.tokens();
    let (result, heard) = world.hear(&Operation::safe("get"), &[Err(No::Broken)]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!((heard, world.state()), (1, State::Open));
    assert!(world.told_suppressed("breaker"));
    assert!(world.tokens() >= before, "a retry that is not made is not paid for");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_during_the_wait_gives_the_token_back_and_the_error_before() {
    let settings = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 10 };
    let world = World::with(|builder| builder.breaker(never_opens()).budget(settings));
    let operation = Operation::safe("get").timeout(10 * SECOND);
    let no = No::BrokenFor(SECOND);
    let words = [Err(no)];
    let mut call = Box::pin(world.hear(&operation, &words));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(world.tokens(), 9_000);

    let now = world.executor.0.parts.now();
    world.executor.breaker().unwrap().set_mode(Mode::ForcedOpen, now);
    let (result, heard) = call.await;
    assert!(matches!(result, Err(ExecError::Failed(said)) if said == no));
    assert_eq!((heard, world.tokens()), (1, 10_000));
}

#[tokio::test(start_paused = true)]
async fn an_operation_may_have_its_own_idea_of_slow() {
    let world = World::with(|builder| builder);
    let slowly = |operation: Operation| {
        let executor = world.executor.clone();
        async move {
            for _ in 0..20 {
                let run = executor.run(&operation, |_| async {
                    tokio::time::sleep(100 * MILLISECOND).await;
                    Ok::<_, No>(())
                });
                run.await.unwrap();
            }
        }
    };
    slowly(Operation::safe("report")).await;
    assert_eq!(world.state(), State::Closed);
    tokio::time::sleep(20 * SECOND).await;
    slowly(Operation::safe("get").slow(50 * MILLISECOND)).await;
    assert_eq!(world.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_nothing_is_rejected() {
    let world = World::with(Builder::without_breaker);
    for _ in 0..50 {
        let (result, _) = world.hear(&Operation::new("get"), &[Err(No::Broken)]).await;
        assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    }
    assert!(world.executor.breaker().is_none());
}
