//! How many calls a second are let through.

mod keyed;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub use keyed::KeyedGcra;

use super::cell::Cell64;
use super::clock::Time;

/// Lets a steady rate of calls through, and a burst after a pause.
///
/// The generic cell rate algorithm (ITU-T I.371, annex A): what is kept is only when
/// the next call would be due if all came at the steady pace. It is exact, without
/// windows, and its whole state is one atomic word, which a refusal only reads.
#[derive(Debug)]
pub struct Gcra {
    pace: Pace,
    due: AtomicU64,
}

/// The rate and the burst, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two calls.
    interval: u64,
    /// How much too early a call may come.
    tolerance: u64,
}

impl Gcra {
    /// `per_second` is cut to `1e-9..=1e9` and rounded so that whole nanoseconds are
    /// between two calls; not-a-number counts as the lowest. `burst` is how many may
    /// come at once after a pause, at least 1; no pause is longer than 146 years.
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self { pace: Pace::new(per_second, burst), due: AtomicU64::new(0) }
    }

    /// Lets a call through, or says how long until one would be if no other came in
    /// between. That is exact to the nanosecond. A refusal costs nothing.
    pub fn check(&self, now: Time) -> Result<(), Duration> {
        self.pace.check(&self.due, now)
    }
}

impl Pace {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the interval is within 1..=1e18"
    )]
    fn new(per_second: f64, burst: u32) -> Self {
        // `max` also replaces not-a-number.
        let interval = (1e9 / per_second.max(1e-9)).round().clamp(1.0, 1e18) as u64;
        // Bounded, so that what is due is never beyond the end of time.
        let tolerance = interval.saturating_mul(u64::from(burst.max(1) - 1)).min(u64::MAX / 4);
        Self { interval, tolerance }
    }

    fn check(self, due: &impl Cell64, now: Time) -> Result<(), Duration> {
        due.update(|due| match self.next(due, now) {
            Ok(next) => (next, Ok(())),
            Err(wait) => (due, Err(wait)),
        })
    }

    /// When the call after this one is due, or how long this one is too early.
    fn next(self, due: u64, now: Time) -> Result<u64, Duration> {
        let now = now.as_nanos();
        let early = due.saturating_sub(now);
        match early.checked_sub(self.tolerance) {
            None | Some(0) => Ok(due.max(now).saturating_add(self.interval)),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

#[cfg(test)]
mod tests;
