//! Calls that are made again.

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::*;
use crate::context::{Inbound, scope};
use crate::core::backoff::{Backoff, Jitter};
use crate::core::budget;

/// Waits of 50 to 100 ms, then 100 to 200 ms, and so on.
fn slowly() -> Backoff {
    Backoff { base: 100 * MILLISECOND, cap: 10 * SECOND, jitter: Jitter::Equal }
}

fn get() -> Operation {
    Operation::safe("get").timeout(10 * SECOND).backoff(slowly())
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_after_waits_that_grow() {
    let world = World::new();
    let began = Instant::now();
    let (result, heard) = world.hear(&get(), &[Err(No::Broken), Err(No::Broken)]).await;
    assert_eq!((result.unwrap(), heard), (3, 3));
    let waited = began.elapsed();
    assert!((150 * MILLISECOND..300 * MILLISECOND).contains(&waited), "{waited:?}");
    let retries = [("reason", "retry")];
    assert_eq!(world.recorder.counter("resilience_attempts_total", &retries), 2);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_its_error_is_returned_and_those_above_know() {
    let world = World::new();
    let call = async { world.hear(&get(), &[Err(No::Broken); 9]).await };
    let ((result, heard), is_exhausted) = scope(Inbound::default(), call).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!(heard, 3);
    assert!(is_exhausted);

    let once = get().attempts(1);
    let call = async { world.hear(&once, &[Err(No::Broken)]).await };
    let (_, is_exhausted) = scope(Inbound::default(), call).await;
    assert!(!is_exhausted, "where nothing may be retried, nothing was given up");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_when_is_obeyed_to_the_letter() {
    let world = World::new();
    let began = Instant::now();
    let no = No::BrokenFor(250 * MILLISECOND);
    let (result, _) = world.hear(&get(), &[Err(no)]).await;
    assert_eq!(result.unwrap(), 2);
    assert_eq!(began.elapsed(), 250 * MILLISECOND);

    // The wait after that is the first of the backoff again.
    for words in [[Err(no), Err(No::Broken)], [Err(No::Broken), Err(no)]] {
        let began = Instant::now();
        world.hear(&get(), &words).await.0.unwrap();
        let waited = began.elapsed();
        assert!((300 * MILLISECOND..=350 * MILLISECOND).contains(&waited), "{waited:?}");
    }

    for operation in [get(), get().attempts(1)] {
        let call = async { world.hear(&operation, &[Err(No::Stop)]).await };
        let ((result, heard), is_exhausted) = scope(Inbound::default(), call).await;
        assert!(matches!(result, Err(ExecError::Failed(No::Stop))));
        assert_eq!((heard, is_exhausted), (1, true));
    }
    assert_eq!(world.suppressed("pushback"), 2);
}

/// Behaviour 26.
#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_during_the_wait_costs_no_attempt_and_no_token() {
    let world = World::with(|builder| {
        let settings = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 10 };
        builder.breaker(never_opens()).budget(settings)
    });
    let heard = Cell::new(0);
    let operation = get();
    let mut call = Box::pin(world.executor.run(&operation, |_| {
        heard.set(heard.get() + 1);
        std::future::ready(Err::<(), _>(No::Broken))
    }));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!((heard.get(), world.tokens()), (1, 9_000), "it waits and has paid");

    drop(call);
    assert_eq!(world.tokens(), 10_000);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!((heard.get(), world.in_flight()), (1, 0));
    assert_eq!(world.calls("abandoned"), 1);
}

/// A peer that is down for so long gets 1000 calls a second from `call`.
async fn outage<F: Future<Output = ()>>(calls: u32, call: impl Fn() -> F) {
    let mut running = FuturesUnordered::new();
    for _ in 0..calls {
        running.push(call());
        tokio::time::sleep(MILLISECOND).await;
        while let Some(Some(())) = running.next().now_or_never() {}
    }
    running.collect::<()>().await;
}

/// Behaviour 19.
#[tokio::test(start_paused = true)]
async fn an_outage_does_not_multiply_the_load() {
    let world = World::new();
    let operation = Operation::safe("get");
    let (calls, floor, burst) = (30_000, 30 + 1, 10);
    outage(calls, || async {
        world.hear(&operation, &[Err(No::Broken); 3]).await.0.unwrap_err();
    })
    .await;
    let attempts = world.recorder.counter("resilience_attempts_total", &[]);
    let most = u64::from(calls + calls / 10 + floor + burst);
    assert!(u64::from(calls) < attempts && attempts <= most, "{attempts} attempts");
    assert!(world.suppressed("budget") > 20_000);
}

/// A call that goes through all `hops` to a leaf that is down and counts.
fn descend<'a>(
    hops: &'a [World],
    leaf: &'a Cell<u32>,
    inbound: Inbound,
) -> LocalBoxFuture<'a, Result<u32, No>> {
    let Some((hop, below)) = hops.split_first() else {
        leaf.set(leaf.get() + 1);
        return Box::pin(std::future::ready(Err(No::Broken)));
    };
    Box::pin(async move {
        let operation = Operation::safe("get");
        let run = hop.executor.run(&operation, |attempt| {
            let previous_attempts = attempt.number() - 1;
            let retried_hops = inbound.retried_hops + u32::from(previous_attempts > 0);
            descend(below, leaf, Inbound { previous_attempts, retried_hops, ..inbound })
        });
        let (result, is_exhausted) = scope(inbound, run).await;
        result.map_err(|_| if is_exhausted { No::Stop } else { No::Broken })
    })
}

/// Behaviour 20.
#[tokio::test(start_paused = true)]
async fn three_hops_that_retry_do_not_multiply_the_load_of_a_leaf_that_is_down() {
    let hops: Vec<World> = (0..3).map(|_| World::new()).collect();
    let leaf = Cell::new(0);
    let calls = 1_000;
    outage(calls, || async {
        descend(&hops, &leaf, Inbound::default()).await.unwrap_err();
    })
    .await;
    let load = leaf.get();
    assert!(calls < load && load <= calls * 13 / 10, "{load} attempts reached the leaf");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_timeout_costs_two_tokens_and_within_a_retry_twice_as_much() {
    let settings = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 10 };
    let world = World::with(|builder| builder.breaker(never_opens()).budget(settings));
    let get = Operation::safe("get");
    let hang_once = || {
        world.executor.run(&get, |attempt| async move {
            if attempt.number() == 1 {
                std::future::pending::<()>().await;
            }
            Ok::<_, No>(())
        })
    };
    hang_once().await.unwrap();
    assert_eq!(world.tokens(), 8_000);

    let retried = Inbound { previous_attempts: 1, ..Inbound::default() };
    scope(retried, hang_once()).await.0.unwrap();
    assert_eq!(world.tokens(), 4_000);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_retried_below_a_hop_that_retries() {
    let mut world = World::new();
    let below = Inbound { retried_hops: 1, ..Inbound::default() };
    let call = async { world.hear(&get(), &[Err(No::Broken)]).await };
    let ((result, heard), is_exhausted) = scope(below, call).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!((heard, is_exhausted), (1, true));
    assert!(world.told_suppressed("hops"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_gives_the_error_at_once_and_tells() {
    let settings = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 0 };
    let mut world = World::with(|builder| builder.breaker(never_opens()).budget(settings));
    let began = Instant::now();
    let call = async { world.hear(&get(), &[Err(No::Broken)]).await };
    let ((result, heard), is_exhausted) = scope(Inbound::default(), call).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Broken))));
    assert_eq!((heard, is_exhausted), (1, true));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(world.told_suppressed("budget"));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_once_a_second_and_counted_always() {
    let settings = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 0 };
    let mut world = World::with(|builder| builder.breaker(never_opens()).budget(settings));
    for _ in 0..30 {
        world.hear(&get(), &[Err(No::Broken)]).await.0.unwrap_err();
        tokio::time::sleep(100 * MILLISECOND).await;
    }
    assert_eq!(world.suppressed("budget"), 30);
    assert_eq!(std::iter::from_fn(|| world.events.try_recv()).count(), 3);
}
