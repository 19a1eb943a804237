//! Every time and limit of the sagas.
//!
//! They hold together, so they are not settings: a reservation outlives the
//! deadline of its checkout many times over, and a lease outlives the longest step.
//!
//! | what | how long |
//! |---|---|
//! | reserve, commit, release, restock | 2 s each |
//! | authorize, capture, void, refund | 8 s each: a card network is behind them |
//! | checkout before the pivot | 120 s |
//! | reservation | 15 min |
//! | lease; renewed | 30 s; each 10 s |
//! | quick repetitions | 2, up to 200 ms apart, before anything is written |
//! | postponements | 200 ms, doubling, up to 60 s, full jitter |
//! | quarantine | after 20 postponements for a definite error, or 24 h |

use std::time::Duration;

use super::{Saga, Step, Trouble};
use time::OffsetDateTime;

/// How long a checkout may take to reach the pivot.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// How long stock is held for it.
pub const RESERVATION: Duration = Duration::from_mins(15);

/// How long nobody else works on a saga that someone works on.
pub const LEASE: Duration = Duration::from_secs(30);

/// How often a lease is renewed.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often a saga in its first run repeats a step at once.
pub const QUICK_REPETITIONS: u32 = 2;

/// How long it waits before that, at the most.
pub const QUICK_WAIT: Duration = Duration::from_millis(200);

/// How long sagas go on to their next step once a stop was requested. With the
/// two longest steps around it this stays within the 20 s that a stop may take.
pub const DRAIN: Duration = Duration::from_secs(2);

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const MOST_FAILURES: u32 = 20;
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// How long a step may take.
pub fn deadline(step: Step) -> Duration {
    match step {
        Step::Reserve | Step::Commit | Step::Release | Step::Restock => Duration::from_secs(2),
        Step::Authorize | Step::Capture | Step::Void | Step::Refund => Duration::from_secs(8),
    }
}

/// How long to wait after so many postponements in a row, counted from 1.
pub fn wait(attempts: u32) -> Duration {
    rand::random_range(Duration::ZERO..=ceiling(attempts))
}

/// How long to wait before a quick repetition.
pub fn quick_wait() -> Duration {
    rand::random_range(Duration::ZERO..=QUICK_WAIT)
}

/// Whether a saga in `trouble` is beyond what repetition can heal.
///
/// A peer that is away or silent counts for nothing here: an hour's outage must
/// not leave every order of that hour to an operator.
pub fn is_hopeless(saga: &Saga, trouble: &Trouble, now: OffsetDateTime) -> bool {
    let failures = saga.failures + u32::from(trouble.is_definite);
    MOST_FAILURES <= failures || saga.create_time + LONGEST_LIFE <= now
}

fn ceiling(attempts: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let ceilings: Vec<_> = [1, 2, 3, 9, 10, 100].map(|n| ceiling(n).as_millis()).into();

        assert_eq!(ceilings, [200, 400, 800, 51_200, 60_000, 60_000]);
        assert!((1..100).all(|attempts| wait(attempts) <= ceiling(attempts)));
    }

    #[test]
    fn a_lease_outlives_every_step_and_stock_outlives_every_checkout() {
        let longest = deadline(Step::Capture);

        assert!(longest + HEARTBEAT < LEASE);
        assert!(DEADLINE * 2 < RESERVATION);
        assert!(longest + DRAIN + longest < Duration::from_secs(20));
    }
}
