//! The circuit breaker against others, in one run: a call that succeeds while it is
//! closed, and one that is rejected while it is open, with one thread and with two that
//! contend for the same breaker.
//!
//! `cargo bench -p trellis-resilience --bench breaker_peers`
//!
//! The duties are set as equal as they can be, and are not equal. This one counts in a
//! window of time, knows slow calls, drops the outcomes of calls that were admitted
//! before its last change, says what a cancelled call means, and bounds its probes; that
//! is why it reads the clock twice. What the others do not do:
//!
//! - failsafe 1.3 with consecutive failures: no rate, no window, no clock while it is
//!   closed. By default it has a success rate too, of a moving average that hardly sees
//!   a burst. Either way it knows no slow calls and no cancelled ones, counts late
//!   outcomes, and half-open admits every call.
//! - recloser 1.4: a ring of the last 100 calls however old they are, and no clock while
//!   it is closed. No slow calls, no cancelled ones, late outcomes count, and half-open
//!   it admits every call.
//! - tower-resilience 0.14: slow calls, and a bound when half-open. Its window of calls
//!   is a total since the last change, which nothing ever leaves. Its window of time is
//!   read whole for every call, so its price depends on how many calls are in it. Late
//!   outcomes count, and cancelled calls do not.
//!
//! The last one is a service, so there are figures of this one around a service too:
//! both are driven alike.

mod closed;
mod closed_service;
mod rejected;

use std::future::{Ready, ready};
use std::hint::spin_loop;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::yield_now;
use std::time::Duration;

use divan::{AllocProfiler, black_box};
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Config, StateMachine, backoff};
use recloser::Recloser;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_resilience_circuitbreaker::{
    CircuitBreaker, CircuitBreakerLayer, DefaultClassifier, SlidingWindowType,
};
use trellis_resilience::Environment;
use trellis_resilience::core::breaker::{Breaker, Settings};
use trellis_resilience::outcome::{FailureKind, RetrySafety, Verdict};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const THREADS: [usize; 2] = [1, 2];

/// So many that threads which start together are together for nearly all of a sample.
const SAMPLE: u32 = 50_000;

/// From when on a call is slow.
const SLOW: Duration = Duration::from_secs(1);

/// How long a breaker stays open: longer than it takes to measure.
const OPEN: Duration = Duration::from_hours(1);

const UNAVAILABLE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent);

fn main() {
    divan::main();
}

/// What they guard.
#[expect(clippy::unnecessary_wraps, reason = "breakers take what may fail")]
fn succeed() -> Result<u64, ()> {
    Ok(black_box(1))
}

fn trellis() -> Breaker {
    let settings =
        Settings { slow: Some(SLOW), open_base: OPEN, open_cap: OPEN, ..Settings::default() };
    Breaker::new("peer", settings, Environment::default()).expect("the settings are valid")
}

type Consecutive = ConsecutiveFailures<backoff::Exponential>;

fn failsafe_consecutive() -> StateMachine<Consecutive, ()> {
    let policy = consecutive_failures(5, backoff::exponential(OPEN, OPEN));
    Config::new().failure_policy(policy).build()
}

fn recloser() -> Recloser {
    Recloser::custom().error_rate(0.5).closed_len(100).open_wait(OPEN).build()
}

type TowerResilience = CircuitBreaker<Instantaneous, DefaultClassifier>;

fn tower_resilience(window: SlidingWindowType) -> TowerResilience {
    CircuitBreakerLayer::builder()
        .sliding_window_type(window)
        .sliding_window_size(100)
        .sliding_window_duration(Duration::from_secs(10))
        .minimum_number_of_calls(20)
        .slow_call_duration_threshold(SLOW)
        .slow_call_rate_threshold(0.8)
        .wait_duration_in_open(OPEN)
        .permitted_calls_in_half_open(3)
        .build()
        .expect("the settings are valid")
        .layer(Instantaneous)
}

/// Answers at once with what it is asked for.
#[derive(Clone, Copy)]
struct Instantaneous;

impl Service<Result<u64, ()>> for Instantaneous {
    type Response = u64;
    type Error = ();
    type Future = Ready<Result<u64, ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, answer: Result<u64, ()>) -> Self::Future {
        ready(answer)
    }
}

/// Makes the service ready, calls it, and polls that to its end. Says whether it
/// succeeded.
fn through<S: Service<Result<u64, ()>>>(mut service: S, answer: Result<u64, ()>) -> bool {
    finish(async { service.ready().await.ok()?.call(black_box(answer)).await.ok() }).is_some()
}

/// Waits only for the other thread, which may hold a lock of the service. It does so
/// without going to sleep, which is what costs such a service least.
fn finish<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    let mut polls = 0;
    loop {
        if let Poll::Ready(output) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        polls += 1;
        if polls % 100 == 0 { yield_now() } else { spin_loop() }
    }
}
