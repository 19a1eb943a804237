//! What is said about an effect of which nothing was heard.

use super::*;

/// Says the words, and where there is none, nothing for ever.
async fn hear_or_hang(
    world: &World,
    operation: &Operation,
    words: &[Option<No>],
) -> Result<u32, ExecError<No>> {
    let run = world.executor.run(operation, |attempt| {
        let said = words.get(attempt.number() as usize - 1).copied();
        async move {
            match said {
                Some(Some(no)) => Err(no),
                Some(None) => std::future::pending().await,
                None => Ok(attempt.number()),
            }
        }
    });
    run.await
}

/// Behaviour 21.
#[tokio::test(start_paused = true)]
async fn a_lost_call_that_must_not_be_repeated_is_of_unknown_fate() {
    let world = World::new();
    let pay = Operation::new("pay");
    let (result, heard) = world.hear(&pay, &[Err(No::Lost)]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: Some(No::Lost) })));
    assert_eq!(heard, 1);
    assert_eq!(world.suppressed("not_idempotent"), 1);
    assert_eq!(world.calls("unknown"), 1);

    let (result, heard) = world.hear(&pay, &[Err(No::Unsent)]).await;
    assert_eq!((result.unwrap(), heard), (2, 2), "what was never sent is sent again");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_has_all_the_time_for_its_only_attempt() {
    let world = World::new();
    let began = Instant::now();
    let result = hear_or_hang(&world, &Operation::new("pay"), &[None]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: None })));
    assert_eq!(began.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_what_has_an_effect_are_never_called_failures() {
    for operation in [Operation::with_key("pay"), Operation::idempotent("put")] {
        let world = World::new();
        let result = hear_or_hang(&world, &operation, &[None, None, None]).await;
        assert!(matches!(result, Err(ExecError::Unknown { last: None })), "{operation:?}");

        // Of the last attempt the peer says that it is broken. Of the first, nothing.
        let result = hear_or_hang(&world, &operation, &[None, Some(No::Stop)]).await;
        assert!(matches!(result, Err(ExecError::Unknown { last: Some(No::Stop) })));

        // And the other way round.
        let result = hear_or_hang(&world, &operation, &[Some(No::Broken), None, None]).await;
        assert!(matches!(result, Err(ExecError::Unknown { last: Some(No::Broken) })));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_settles_what_was_in_doubt() {
    let world = World::new();
    let pay = Operation::with_key("pay");
    assert_eq!(hear_or_hang(&world, &pay, &[None]).await.unwrap(), 2);
    let result = hear_or_hang(&world, &pay, &[Some(No::Lost), Some(No::Declined)]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Declined))));
}

#[tokio::test(start_paused = true)]
async fn doubt_outlasts_a_breaker_that_rejects_the_next_attempt() {
    let settings = breaker::Settings {
        consecutive_failures: Some(1),
        open_base: 60 * SECOND,
        open_cap: 60 * SECOND,
        ..never_opens()
    };
    let world = World::with(|builder| builder.breaker(settings));
    let pay = Operation::with_key("pay").timeout(600 * SECOND).attempt_timeout(SECOND);
    let result = hear_or_hang(&world, &pay, &[None]).await;
    assert!(matches!(result, Err(ExecError::Unknown { last: None })));
    assert_eq!(world.state(), breaker::State::Open);
    assert_eq!(world.calls("unknown"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_doubt_about_what_changes_nothing() {
    let world = World::new();
    let get = Operation::safe("get");
    let (result, heard) = world.hear(&get, &[Err(No::Lost); 3]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Lost))));
    assert_eq!(heard, 3);
    let result = hear_or_hang(&world, &get.attempts(2), &[Some(No::Broken), None]).await;
    assert!(matches!(result, Err(ExecError::DeadlineExceeded { last: Some(No::Broken) })));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_it_is_broken_has_answered() {
    let world = World::new();
    let (result, heard) = world.hear(&Operation::new("pay"), &[Err(No::Broken)]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!(heard, 1);
}
