//! A system with so many workers and a queue before them, behind a limiter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::Environment;
use crate::core::clock::{Clock as _, Manual, Time};
use crate::core::limit::{Admission, Limiter, Sample, Settings};
use crate::core::random::Random;

pub(super) struct Model {
    pub(super) limiter: Limiter,
    pub(super) clock: Arc<Manual>,
    random: Random,
    /// When each worker is free again.
    workers: BinaryHeap<Reverse<Time>>,
    running: BinaryHeap<Reverse<(Time, u64, Ended)>>,
    calls: u64,
}

/// How a call that runs will end.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    began: Time,
    in_time: bool,
}

/// What happened while it ran.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) offered: u64,
    pub(super) completed: u64,
    pub(super) timed_out: u64,
    pub(super) latencies: Vec<Duration>,
    pub(super) limits: Vec<usize>,
}

impl Model {
    pub(super) fn new(workers: usize, settings: Settings) -> Self {
        let clock = Arc::new(Manual::new());
        let environment = Environment {
            clock: Arc::<Manual>::clone(&clock),
            random: Arc::new(Random::seeded(1)),
            ..Environment::default()
        };
        Self {
            limiter: Limiter::new(settings, &environment).unwrap(),
            clock,
            random: Random::seeded(2),
            workers: (0..workers).map(|_| Reverse(Time::ZERO)).collect(),
            running: BinaryHeap::new(),
            calls: 0,
        }
    }

    /// Offers `rate` calls in a second, at random moments, each of which keeps a worker
    /// for as long as `service` says.
    pub(super) fn run(
        &mut self,
        seconds: u64,
        rate: f64,
        service: impl Fn(Time, &Random) -> Duration,
    ) -> Seen {
        let mut seen = Seen::default();
        let end = self.clock.now() + Duration::from_secs(seconds);
        let mut sampled = self.clock.now();
        loop {
            let gap = -(1.0 - self.random.unit()).ln() / rate;
            let arrival = self.clock.now() + Duration::from_secs_f64(gap);
            self.end_until(arrival.min(end), &mut seen);
            if end <= arrival {
                return seen;
            }
            self.offer(arrival, &service, &mut seen);
            if sampled + Duration::from_millis(100) <= arrival {
                sampled = arrival;
                seen.limits.push(self.limiter.limit());
            }
        }
    }

    fn offer(&mut self, now: Time, service: impl Fn(Time, &Random) -> Duration, seen: &mut Seen) {
        seen.offered += 1;
        if self.limiter.admit(now).is_none() {
            return;
        }
        let Reverse(free) = self.workers.pop().expect("there are workers");
        let done = free.max(now) + service(now, &self.random);
        self.workers.push(Reverse(done));
        // Whoever waits for longer than a second goes away; the work is done in vain.
        let patience = now + Duration::from_secs(1);
        let ended = Ended { began: now, in_time: done <= patience };
        self.calls += 1;
        self.running.push(Reverse((done.min(patience), self.calls, ended)));
    }

    fn end_until(&mut self, until: Time, seen: &mut Seen) {
        while self.running.peek().is_some_and(|Reverse((end, ..))| *end <= until) {
            let Reverse((end, _, Ended { began, in_time })) = self.running.pop().unwrap();
            self.go_to(end);
            let sample = if in_time { Sample::Completed } else { Sample::Dropped };
            self.limiter.settle(Admission { began }, sample, end);
            if in_time {
                seen.completed += 1;
                seen.latencies.push(end.since(began));
            } else {
                seen.timed_out += 1;
            }
        }
        self.go_to(until);
    }

    fn go_to(&self, time: Time) {
        self.clock.advance(time.since(self.clock.now()));
    }
}

impl Seen {
    pub(super) fn quantile(&mut self, quantile: f64) -> Duration {
        self.latencies.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a test"
        )]
        let index = (quantile * self.latencies.len() as f64) as usize;
        self.latencies[index.min(self.latencies.len() - 1)]
    }

    pub(super) fn mean_limit(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a test")]
        let mean = self.limits.iter().sum::<usize>() as f64 / self.limits.len() as f64;
        mean
    }
}

pub(super) fn constant(millis: u64) -> impl Fn(Time, &Random) -> Duration {
    move |_, _| Duration::from_millis(millis)
}

pub(super) fn exponential(mean: Duration) -> impl Fn(Time, &Random) -> Duration {
    move |_, random| mean.mul_f64(-(1.0 - random.unit()).ln())
}
