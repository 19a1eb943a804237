use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

use super::*;
use crate::core::limit::Settings;
use crate::core::random::Random;
use crate::observe::NoMetrics;
use Criticality::{Critical, CriticalPlus, Sheddable};

const MS: Duration = Duration::from_millis(1);

/// A gate that lets in `limit` calls at once.
fn gate(limit: usize) -> Arc<Gate> {
    let environment = Environment { random: Arc::new(Random::seeded(1)), ..Environment::tokio() };
    let settings = Settings { initial: limit, min: limit, max: limit, ..Settings::default() };
    let limiter = Limiter::new(settings, &environment).unwrap();
    let measures = Arc::new(Measures::new(&NoMetrics, "test", true));
    Arc::new(Gate::new(limiter, queue::Settings::default(), measures, &environment))
}

async fn enter(gate: Arc<Gate>, criticality: Criticality) -> Result<Pass, Cause> {
    gate.enter(criticality, 0, None).await
}

/// Polls once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_empty(gate: &Gate) -> bool {
    gate.limiter.inflight() == 0 && gate.waiting() == 0 && gate.lock().is_empty()
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_slot_waits_until_one_is_free() {
    let gate = gate(1);
    let first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let mut second = pin!(enter(Arc::clone(&gate), Critical));
    assert!(poll(second.as_mut()).is_pending());

    first.finish(Sample::Completed);

    let second = second.await.unwrap();
    assert_eq!((gate.limiter.inflight(), gate.waiting()), (1, 0));
    drop(second);
    assert!(is_empty(&gate));
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait() {
    let gate = gate(1);
    let first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let mut second = pin!(enter(Arc::clone(&gate), Critical));
    assert!(poll(second.as_mut()).is_pending());
    drop(first);

    let mut third = pin!(enter(Arc::clone(&gate), Critical));

    assert!(poll(third.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_ready());
    assert!(poll(third.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_most_critical_go_first() {
    let gate = gate(1);
    let first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let mut later = pin!(enter(Arc::clone(&gate), Sheddable));
    let mut sooner = pin!(enter(Arc::clone(&gate), CriticalPlus));
    assert!(poll(later.as_mut()).is_pending() && poll(sooner.as_mut()).is_pending());

    drop(first);

    assert!(poll(later.as_mut()).is_pending());
    assert!(poll(sooner.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn twice_the_limit_may_wait() {
    let gate = gate(1);
    let _first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let mut second = pin!(enter(Arc::clone(&gate), Critical));
    let mut third = pin!(enter(Arc::clone(&gate), Sheddable));
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());

    let mut fourth = pin!(enter(Arc::clone(&gate), Critical));

    assert!(poll(fourth.as_mut()).is_pending());
    assert_eq!(third.await.unwrap_err(), Cause::Full);
    assert_eq!(enter(Arc::clone(&gate), Sheddable).await.unwrap_err(), Cause::Full);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_its_deadline() {
    let gate = gate(1);
    let _first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let start = Instant::now();

    let late = gate.enter(Critical, 0, Some(start + 30 * MS)).await;

    assert_eq!(late.unwrap_err(), Cause::Expired);
    assert_eq!(start.elapsed(), 30 * MS);
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let gate = gate(1);
    let _first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let start = Instant::now();

    assert_eq!(enter(Arc::clone(&gate), Critical).await.unwrap_err(), Cause::TooLong);

    assert_eq!(start.elapsed(), queue::Settings::default().longest);
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn once_it_is_known_how_long_calls_take_nobody_waits_much_longer() {
    let gate = gate(4);
    for _ in 0..60 {
        let pass = enter(Arc::clone(&gate), Critical).await.unwrap();
        tokio::time::advance(200 * MS).await;
        pass.finish(Sample::Completed);
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(enter(Arc::clone(&gate), Critical).await.unwrap());
    }
    let start = Instant::now();

    assert_eq!(enter(Arc::clone(&gate), Sheddable).await.unwrap_err(), Cause::TooLong);
    let sheddable = start.elapsed();
    let start = Instant::now();
    assert_eq!(enter(Arc::clone(&gate), Critical).await.unwrap_err(), Cause::TooLong);
    let critical = start.elapsed();

    assert!((195 * MS..210 * MS).contains(&sheddable), "{sheddable:?}");
    assert!((390 * MS..420 * MS).contains(&critical), "{critical:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_while_it_waits_leaves_no_trace() {
    let gate = gate(1);
    let first = enter(Arc::clone(&gate), Critical).await.unwrap();
    {
        let mut second = pin!(enter(Arc::clone(&gate), Critical));
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(gate.waiting(), 1);
    }

    assert_eq!(gate.waiting(), 0);
    drop(first);
    assert!(is_empty(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_slot_for_one_who_went_away_goes_to_the_next() {
    let gate = gate(1);
    let first = enter(Arc::clone(&gate), Critical).await.unwrap();
    let mut third = Box::pin(enter(Arc::clone(&gate), Sheddable));
    {
        let mut second = pin!(enter(Arc::clone(&gate), Critical));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        // It is let in, and never looks.
        drop(first);
        assert_eq!((gate.limiter.inflight(), gate.waiting()), (1, 1));
    }

    assert!(poll(third.as_mut()).is_ready());
    drop(third);
    assert!(is_empty(&gate));
}

/// For the waiting queue with its slots.
///
/// Behaviour 48.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_end_in_every_way_leave_nothing_behind() {
    let gate = gate(8);
    let mut tasks = JoinSet::new();
    for seed in 0..32 {
        tasks.spawn(storm(Arc::clone(&gate), Random::seeded(seed)));
    }
    let panics = tasks.join_all().await.into_iter().sum::<u32>();

    assert!(0 < panics);
    assert!(is_empty(&gate));
}

async fn storm(gate: Arc<Gate>, random: Random) -> u32 {
    let mut panics = 0;
    for _ in 0..2_000 {
        let criticality = if random.chance(0.5) { Critical } else { Sheddable };
        let deadline = random.chance(0.2).then(|| Instant::now() + MS);
        let mut entering = Box::pin(gate.enter(criticality, 0, deadline));
        if random.chance(0.1) {
            // It goes away at once, or as soon as it was let in.
            let _ = poll(entering.as_mut());
            tokio::task::yield_now().await;
            continue;
        }
        let Ok(pass) = entering.await else {
            continue;
        };
        if random.chance(0.2) {
            tokio::task::yield_now().await;
        }
        match random.below(100) {
            0..70 => pass.finish(Sample::Completed),
            70 => {
                let panicking = tokio::task::spawn_blocking(move || {
                    let _pass = pass;
                    std::panic::resume_unwind(Box::new("on purpose"))
                });
                panics += u32::from(panicking.await.unwrap_err().is_panic());
            }
            _ => drop(pass),
        }
    }
    panics
}
