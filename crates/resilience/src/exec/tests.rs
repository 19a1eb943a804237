//! What the tests share: a peer whose words they choose, and an executor that is
//! watched.

mod admission;
mod breaking;
mod chaos;
mod deadlines;
mod fates;
mod retries;
mod stress;

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::core::breaker;
use crate::core::outcome::{FailureKind, Health, Pushback, RetrySafety, Verdict};
use crate::core::random::Random;
use crate::observe::{Event, Events, Recorder, channel};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What the peer says if not yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum No {
    #[error("never sent")]
    Unsent,
    #[error("lost on the way")]
    Lost,
    #[error("broken")]
    Broken,
    #[error("broken, come back later")]
    BrokenFor(Duration),
    #[error("do not come back")]
    Stop,
    #[error("too busy")]
    Busy,
    #[error("declined")]
    Declined,
}

pub(super) type Classify = ByError<fn(&No) -> Verdict>;

pub(super) struct World {
    pub(super) executor: Executor<Classify>,
    pub(super) recorder: Recorder,
    pub(super) events: Events,
    pub(super) chaos: Arc<Chaos>,
}

fn verdict(no: &No) -> Verdict {
    let broken = Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent);
    match *no {
        No::Unsent => Verdict::failure(FailureKind::Unsent, RetrySafety::Always),
        No::Lost => Verdict::failure(FailureKind::ConnectionLost, RetrySafety::IfIdempotent),
        No::Broken => broken,
        No::BrokenFor(delay) => broken.with_pushback(Some(Pushback::After(delay))),
        No::Stop => broken.with_pushback(Some(Pushback::Stop)),
        No::Busy => Verdict::new(Health::Degraded, RetrySafety::Never),
        No::Declined => Verdict::SUCCESS,
    }
}

/// Settings with which nothing makes the breaker open.
pub(super) fn never_opens() -> breaker::Settings {
    breaker::Settings {
        consecutive_failures: None,
        failure_rate: None,
        slow_rate: None,
        ..breaker::Settings::default()
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|builder| builder.breaker(never_opens()))
    }

    pub(super) fn with(build: impl FnOnce(Builder<Classify>) -> Builder<Classify>) -> Self {
        let recorder = Recorder::default();
        let (listener, events) = channel(1024);
        let environment = Environment {
            random: Arc::new(Random::seeded(1)),
            listener: Arc::new(listener),
            metrics: Arc::new(recorder.clone()),
            ..Environment::tokio()
        };
        let chaos = Arc::new(Chaos::new(&environment));
        let builder = Executor::builder("peer")
            .classifier(by_error(verdict as fn(&No) -> Verdict))
            .environment(environment)
            .chaos(Arc::clone(&chaos));
        Self { executor: build(builder).build().unwrap(), recorder, events, chaos }
    }

    /// The peer says these things, one after the other, and then always yes.
    pub(super) async fn hear(
        &self,
        operation: &Operation,
        words: &[Result<u32, No>],
    ) -> (Result<u32, ExecError<No>>, u32) {
        let heard = Cell::new(0);
        let result = self.executor.run(operation, |attempt| {
            heard.set(heard.get() + 1);
            assert_eq!(attempt.number(), heard.get());
            let said = words.get(attempt.number() as usize - 1).copied();
            async move { said.unwrap_or(Ok(attempt.number())) }
        });
        (result.await, heard.get())
    }

    pub(super) fn calls(&self, code: &str) -> u64 {
        self.recorder.counter("resilience_calls_total", &[("code", code)])
    }

    pub(super) fn suppressed(&self, cause: &str) -> u64 {
        self.recorder.counter("resilience_retries_suppressed_total", &[("cause", cause)])
    }

    /// What is in the budget, in thousandths.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a budget holds at most 60000 tokens, and no debt"
    )]
    pub(super) fn tokens(&self) -> u32 {
        let parts = &self.executor.0.parts;
        (parts.budget.tokens(parts.now()) * 1e3).round() as u32
    }

    pub(super) fn in_flight(&self) -> usize {
        self.executor.0.parts.bulkhead.inflight()
    }

    pub(super) fn state(&self) -> breaker::State {
        self.executor.breaker().unwrap().state(self.executor.0.parts.now())
    }

    /// Whether the last event says that a retry was suppressed for this cause.
    pub(super) fn told_suppressed(&mut self, cause: &'static str) -> bool {
        let event = Event::RetrySuppressed { target: "peer".into(), cause };
        std::iter::from_fn(|| self.events.try_recv()).last() == Some(event)
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_is_returned_and_counted() {
    let world = World::new();
    let (result, heard) = world.hear(&Operation::new("get"), &[Ok(7)]).await;
    assert_eq!((result.unwrap(), heard), (7, 1));

    let labels = [("target", "peer"), ("method", "get"), ("code", "ok"), ("origin", "remote")];
    assert_eq!(world.recorder.counter("resilience_calls_total", &labels), 1);
    assert_eq!(world.recorder.counter("resilience_calls_total", &[]), 1);
    let first = [("method", "get"), ("n", "1"), ("reason", "first")];
    assert_eq!(world.recorder.counter("resilience_attempts_total", &first), 1);
    assert_eq!(world.recorder.histogram("resilience_attempts_per_call", &[]).mean(), Some(1.0));
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_a_refusal_is_a_failure_of_the_call_but_not_of_the_peer() {
    let world = World::new();
    let (result, heard) = world.hear(&Operation::safe("get"), &[Err(No::Declined)]).await;
    assert!(matches!(result, Err(ExecError::Failed(No::Declined))));
    assert_eq!(heard, 1);
    assert_eq!(world.calls("failed"), 1);
    let totals = world.executor.breaker().unwrap().totals(world.executor.0.parts.now());
    assert_eq!((totals.calls, totals.failures), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closure_over_the_whole_result_can_say_what_a_value_means() {
    let classify = |result: Result<&u16, &No>| match result {
        Ok(503) => Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent),
        Ok(_) => Verdict::SUCCESS,
        Err(no) => verdict(no),
    };
    let executor = Executor::builder("shop").classifier(classify).build().unwrap();
    let mut codes = [503, 200].into_iter();
    let get = Operation::safe("get");
    let found = executor.run(&get, |_| std::future::ready(Ok(codes.next().unwrap()))).await;
    assert_eq!(found.unwrap(), 200);

    let found = executor.run(&get.attempts(1), |_| std::future::ready(Ok(503))).await;
    assert_eq!(found.unwrap(), 503, "a value is given to the caller whatever it means");
}

#[tokio::test(start_paused = true)]
async fn operations_beyond_those_that_are_told_apart_are_counted_as_other() {
    let world = World::new();
    let names: Vec<&'static str> =
        (0..70).map(|number| &*Box::leak(format!("operation {number}").into_boxed_str())).collect();
    for name in names {
        world.hear(&Operation::new(name), &[]).await.0.unwrap();
    }
    let of = |name| world.recorder.counter("resilience_calls_total", &[("method", name)]);
    assert_eq!((of("operation 0"), of("operation 63"), of("operation 64")), (1, 1, 0));
    assert_eq!(of("other"), 6);
}

#[test]
fn a_window_that_is_shorter_than_an_attempt_is_refused() {
    let settings = breaker::Settings { window: SECOND, ..breaker::Settings::default() };
    let long = Operation::new("report").timeout(2 * SECOND);
    let built = Executor::builder("peer").breaker(settings).operations([&long]).build();
    assert!(matches!(built, Err(BuildError::Breaker(_))));
}

#[test]
fn calls_can_move_between_threads() {
    fn sent<T: Send>(_: &T) {}

    let executor = Executor::builder("peer").build().unwrap();
    let get = Operation::safe("get");
    sent(&executor.run(&get, |_| std::future::ready(Ok::<_, std::io::Error>(()))));
}
