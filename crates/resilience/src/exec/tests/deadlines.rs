//! Calls that have little time.

use super::*;
use crate::context::{Inbound, scope};
use crate::core::backoff::{Backoff, Jitter};

fn inbound(left: Duration) -> Inbound {
    Inbound { deadline: Some(Instant::now() + left), ..Inbound::default() }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_the_least_of_all_limits() {
    let world = World::new();
    let once = Operation::safe("get").attempts(1).timeout(SECOND);
    for (operation, left, expected) in [
        (once.clone(), None, SECOND),
        (once.clone(), Some(200 * MILLISECOND), 200 * MILLISECOND),
        (once.clone(), Some(60 * SECOND), SECOND),
        (once.clone().attempts(2), Some(200 * MILLISECOND), 100 * MILLISECOND),
        (once.attempt_timeout(30 * MILLISECOND), Some(SECOND), 30 * MILLISECOND),
    ] {
        let run = world.executor.run(&operation, |attempt| async move {
            assert_eq!(attempt.deadline(), Some(Instant::now() + expected));
            assert_eq!(attempt.remaining(), Some(expected));
            Ok(())
        });
        match left {
            Some(left) => scope(inbound(left), run).await.0.unwrap(),
            None => run.await.unwrap(),
        }
    }
    let endless = Operation { timeout: None, ..Operation::safe("get") };
    let run = world.executor.run(&endless, |attempt| async move { Ok(attempt.deadline()) });
    assert_eq!(run.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_time_is_not_made() {
    let world = World::new();
    let call = async { world.hear(&Operation::safe("get"), &[]).await };
    let ((result, heard), _) = scope(inbound(MILLISECOND / 2), call).await;
    assert!(matches!(result, Err(ExecError::Rejected(Rejection::DeadlineTooShort))));
    assert_eq!(heard, 0);
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_ends_at_the_deadline() {
    let world = World::new();
    let began = Instant::now();
    let operation = Operation::safe("get").attempts(1);
    let run = world.executor.run(&operation, |_| std::future::pending::<Result<(), No>>());
    assert!(matches!(run.await, Err(ExecError::DeadlineExceeded { last: None })));
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(world.calls("deadline_exceeded"), 1);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_an_attempt_that_took_half_of_the_time_another_still_fits() {
    let world = World::new();
    let get = Operation::safe("get");
    let run = world.executor.run(&get, |attempt| async move {
        if attempt.number() == 1 {
            std::future::pending::<()>().await;
        }
        Ok(attempt.number())
    });
    assert_eq!(run.await.unwrap(), 2);
}

/// Behaviour 23.
#[tokio::test(start_paused = true)]
async fn a_retry_that_would_begin_too_late_is_not_waited_for() {
    let world = World::new();
    // At least 60 ms.
    let backoff = Backoff { base: 120 * MILLISECOND, cap: SECOND, jitter: Jitter::Equal };
    let operation = Operation::safe("get").timeout(40 * MILLISECOND).backoff(backoff);
    let began = Instant::now();
    let (result, heard) = world.hear(&operation, &[Err(No::Broken)]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!(heard, 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(world.suppressed("deadline"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_would_usually_end_too_late_is_not_made() {
    let world = World::new();
    let answer = |no: Option<No>| async move {
        tokio::time::sleep(50 * MILLISECOND).await;
        no.map_or(Ok(()), Err)
    };
    let get = Operation::safe("get");
    for _ in 0..100 {
        world.executor.run(&get, |_| answer(None)).await.unwrap();
    }
    // 60 ms are left after the first attempt, and the second would begin after 20 ms.
    let no = No::BrokenFor(20 * MILLISECOND);
    let short = get.clone().attempt_timeout(SECOND).timeout(110 * MILLISECOND);
    let result = world.executor.run(&short, |_| answer(Some(no))).await;
    assert!(matches!(result, Err(ExecError::Failed(_))));
    assert_eq!(world.suppressed("deadline"), 1);

    let longer = short.timeout(130 * MILLISECOND);
    let result = world.executor.run(&longer, |_| answer(Some(no))).await;
    assert!(result.is_err());
    let second = [("n", "2")];
    assert_eq!(world.recorder.counter("resilience_attempts_total", &second), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_blamed_for_a_caller_with_less_time_than_it_usually_needs() {
    let world = World::with(|builder| builder);
    let get = Operation::safe("get").attempts(1);
    let answer = || async {
        tokio::time::sleep(50 * MILLISECOND).await;
        Ok::<_, No>(())
    };
    for _ in 0..100 {
        world.executor.run(&get, |_| answer()).await.unwrap();
    }
    for _ in 0..50 {
        let run = world.executor.run(&get, |_| answer());
        let (result, _) = scope(inbound(10 * MILLISECOND), run).await;
        assert!(matches!(result, Err(ExecError::DeadlineExceeded { .. })));
    }
    assert_eq!(world.state(), breaker::State::Closed);

    let hasty = get.timeout(10 * MILLISECOND);
    for _ in 0..5 {
        assert!(world.executor.run(&hasty, |_| answer()).await.is_err());
    }
    assert_eq!(world.state(), breaker::State::Open, "its own limit is a promise of the peer");
}
