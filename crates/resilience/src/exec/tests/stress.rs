//! Very many calls that end in every way.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt as _, StreamExt as _};

use super::*;
use crate::core::breaker::State;
use crate::core::{budget, limit};

/// What a closure does.
#[derive(Clone, Copy)]
enum Deed {
    Answer,
    Refuse(No),
    Panic,
    Hang,
}

/// In one storm.
const CALLS: usize = 100_000;
const AT_ONCE: usize = 200;

fn deed(random: &Random) -> Deed {
    match random.below(10) {
        0 => Deed::Refuse(No::Unsent),
        1 => Deed::Refuse(No::Lost),
        2 => Deed::Refuse(No::Broken),
        3 => Deed::Refuse(No::Declined),
        4 => Deed::Refuse(No::Busy),
        5 => Deed::Panic,
        6 => Deed::Hang,
        _ => Deed::Answer,
    }
}

fn operation(random: &Random) -> Operation {
    let operations = [Operation::new, Operation::safe, Operation::with_key];
    operations[random.below(3)]("anything").timeout(20 * MILLISECOND)
}

/// Makes one call, which its caller may leave, and gives what its retries cost.
async fn call(world: &World, random: &Random) -> u32 {
    let spent = Cell::new(0);
    let price = Cell::new(0);
    let operation = operation(random);
    let run = world.executor.run(&operation, |_| {
        spent.set(spent.get() + price.get());
        let deed = deed(random);
        price.set(if matches!(deed, Deed::Hang) { 2 } else { 1 });
        let pause = random.below(3);
        async move {
            if pause == 0 {
                tokio::time::sleep(MILLISECOND).await;
            }
            match deed {
                Deed::Answer => Ok(()),
                Deed::Refuse(no) => Err(no),
                // Without the hook, which would print it.
                Deed::Panic => std::panic::resume_unwind(Box::new("oh no")),
                Deed::Hang => std::future::pending().await,
            }
        }
    });
    let run = AssertUnwindSafe(run).catch_unwind();
    let patience = u32::try_from(random.below(40)).unwrap() * MILLISECOND;
    // A call that is given up is as welcome here as any other end.
    let _ = tokio::time::timeout(patience, run).await;
    spent.get()
}

async fn storm(world: &World, seed: u64) -> u32 {
    let random = Random::seeded(seed);
    let calls = futures::stream::iter(0..CALLS).map(|_| call(world, &random));
    calls.buffer_unordered(AT_ONCE).fold(0, |sum, spent| async move { sum + spent }).await
}

/// Behaviour 48.
#[tokio::test(start_paused = true)]
async fn after_a_million_calls_that_end_in_every_way_everything_is_as_before() {
    let burst = 60_000;
    for seed in 0..10 {
        let limit = limit::Settings {
            initial: AT_ONCE,
            min: AT_ONCE / 2,
            max: AT_ONCE,
            ..limit::Settings::default()
        };
        let budget = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst };
        let world = World::with(|builder| {
            let builder = builder.breaker(never_opens()).budget(budget);
            builder.limiter(limit).bulkhead(AT_ONCE - 10)
        });
        let spent = storm(&world, seed).await;

        assert_eq!(world.in_flight(), 0);
        assert_eq!(world.executor.0.parts.limiter.as_ref().unwrap().inflight(), 0);
        assert!(0 < spent && spent < burst, "{spent} tokens");
        assert_eq!(world.tokens(), (burst - spent) * 1_000, "each retry was paid for once");
        for code in ["ok", "failed", "unknown", "deadline_exceeded", "abandoned", "rejected"] {
            assert!(world.calls(code) > 0, "none was {code}");
        }
        let ended = world.recorder.counter("resilience_calls_total", &[]);
        assert_eq!(ended, CALLS as u64, "each call has one end");
    }
}

/// Behaviour 48.
#[tokio::test(start_paused = true)]
async fn after_a_storm_the_breaker_is_not_wedged() {
    let world = World::with(|builder| builder.bulkhead(AT_ONCE));
    storm(&world, 48).await;
    assert!(world.recorder.counter("resilience_rejections_total", &[("stage", "breaker")]) > 0);
    assert_eq!(world.in_flight(), 0);

    tokio::time::sleep(120 * SECOND).await;
    for _ in 0..3 {
        world.hear(&Operation::safe("get"), &[]).await.0.unwrap();
    }
    assert_eq!(world.state(), State::Closed);
    assert_eq!(world.tokens(), 10_000);
}

/// Behaviour 48.
#[test]
fn threads_that_call_and_give_up_at_random_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle();
    let world = {
        let _entered = handle.enter();
        World::with(|builder| builder.bulkhead(8).limiter(limit::Settings::default()))
    };
    let executor = &world.executor;
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let _entered = handle.enter();
                let random = Random::seeded(seed);
                for _ in 0..10_000 {
                    give_up_soon(executor, &random);
                }
            });
        }
    });
    let parts = &world.executor.0.parts;
    assert_eq!((parts.bulkhead.inflight(), parts.limiter.as_ref().unwrap().inflight()), (0, 0));
    let ended = world.recorder.counter("resilience_calls_total", &[]);
    assert_eq!(ended, 40_000, "each call has one end");
}

/// Makes a call that yields a few times, and looks at it a few times. It is not tried
/// again, so it never waits.
fn give_up_soon(executor: &Executor<Classify>, random: &Random) {
    let operation = Operation::safe("anything").attempts(1);
    let run = executor.run(&operation, |_| {
        let (yields, deed) = (random.below(3), deed(random));
        async move {
            for _ in 0..yields {
                futures::pending!();
            }
            match deed {
                Deed::Answer => Ok(()),
                Deed::Refuse(no) => Err(no),
                Deed::Panic => std::panic::resume_unwind(Box::new("oh no")),
                Deed::Hang => std::future::pending().await,
            }
        }
    });
    let mut run = Box::pin(AssertUnwindSafe(run).catch_unwind());
    for _ in 0..=random.below(3) {
        if (&mut run).now_or_never().is_some() {
            break;
        }
    }
}
