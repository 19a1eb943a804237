//! What a window says about the limit.
//!
//! After TCP Vegas (Brakmo and Peterson, 1995) in the form that Netflix gave it for
//! concurrency ("Performance Under Load", 2018): with L calls at once, a latency of
//! rtt, and rtt₀ without a queue, about L·(1 − rtt₀/rtt) calls are waiting in a queue.
//! The limit grows while those are fewer than α = 3·log₁₀L and shrinks when they are
//! more than β = 6·log₁₀L.
//!
//! Some things differ. The calls at once are those that were, which may be fewer than
//! the limit, and only a limit that was reached grows. Latencies are percentiles, so rtt₀ has a tolerance of 15 %, and more
//! where there were few samples: else noise alone would be a queue of a tenth of a
//! large limit. A queue that is far too long is shortened faster than step by step.
//! And until a queue is seen for the first time, the limit grows by half.

use std::time::Duration;

/// Shares of dropped calls: from the first on, the limit does not grow, and shrinks if
/// the others wait as well; from the second on, it then shrinks faster; from the third
/// on, nothing else matters. Calls that are stuck while all others are as quick as ever
/// are not helped by a smaller limit, which they would fill the sooner.
const SOME: f64 = 0.01;
const MANY: f64 = 0.1;
const MOST: f64 = 0.5;

/// What is known at the end of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) limit: f64,
    /// The most calls that were in flight at once.
    pub(super) peak: f64,
    /// The share of calls that were given up for lack of an answer.
    pub(super) dropped: f64,
    /// `None` if there were too few samples.
    pub(super) queue: Option<Queue>,
    /// Whether more at once only means more waiting.
    pub(super) is_crowded: bool,
    /// Whether no queue was seen yet.
    pub(super) is_ramping: bool,
}

/// Between which bounds the length of the queue is estimated to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What to do with the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Hold,
    Grow(f64),
    Shrink { by: f64, cause: Cause },
}

/// Why a limit shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Drops,
    Queue,
    Crowd,
}

impl Queue {
    /// From two latencies of the same window: its own, and one that is smoothed over
    /// several. Only where they agree is the limit changed.
    pub(super) fn estimate(
        concurrency: f64,
        baseline: Duration,
        latencies: [Duration; 2],
        samples: u64,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a count of calls in a window")]
        let tolerance = 1.15 + 1.5 / (samples.max(1) as f64).sqrt();
        let without = baseline.as_secs_f64() * tolerance;
        let [one, other] = latencies.map(|latency| {
            let latency = latency.as_secs_f64().max(f64::MIN_POSITIVE);
            (concurrency * (1.0 - without / latency)).max(0.0).ceil()
        });
        Self { low: one.min(other), high: one.max(other) }
    }
}

/// The longest queue that is left alone.
pub(super) fn beta(limit: f64) -> f64 {
    6.0 * limit.log10()
}

pub(super) fn judge(view: &View) -> Step {
    let unit = view.limit.log10().max(1.0);
    let (alpha, beta) = (3.0 * view.limit.log10(), beta(view.limit));
    let is_calm = view.queue.is_some_and(|queue| queue.high < alpha);
    if SOME <= view.dropped {
        let by = if MANY <= view.dropped { (view.limit / 10.0).max(unit) } else { unit };
        let is_bearable = is_calm && view.dropped < MOST;
        return if is_bearable { Step::Hold } else { Step::Shrink { by, cause: Cause::Drops } };
    }
    let Some(queue) = view.queue else {
        return Step::Hold;
    };
    // Too few calls to know what more of them would do.
    if 2.0 * view.peak < view.limit {
        return Step::Hold;
    }
    if beta < queue.low {
        let by = ((queue.low - beta) / 2.0).min(view.limit / 5.0).max(unit);
        return Step::Shrink { by, cause: Cause::Queue };
    }
    let is_reached = view.limit.floor() <= view.peak;
    match (alpha <= queue.high, view.is_crowded) {
        // It suffices: nobody asks for more.
        _ if !is_reached => return Step::Hold,
        (true, true) => return Step::Shrink { by: unit, cause: Cause::Crowd },
        // Alone, a crowd does not make it shrink: below the capacity, where there is no
        // queue, it would still tell of the time above it.
        (true, false) | (false, true) => return Step::Hold,
        (false, false) => {}
    }
    Step::Grow(match (queue.high <= unit, view.is_ramping) {
        (true, true) => (view.limit / 2.0).max(beta),
        (true, false) => beta.max(unit),
        (false, _) => unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit of 100, so that α is 6 and β is 12, that is in use.
    fn view(queue: f64) -> View {
        View {
            limit: 100.0,
            peak: 100.0,
            dropped: 0.0,
            queue: Some(Queue { low: queue, high: queue }),
            is_crowded: false,
            is_ramping: false,
        }
    }

    fn shrink(by: f64, cause: Cause) -> Step {
        Step::Shrink { by, cause }
    }

    #[test]
    fn it_grows_below_alpha_and_shrinks_above_beta() {
        assert_eq!(judge(&view(2.0)), Step::Grow(12.0));
        assert_eq!(judge(&view(3.0)), Step::Grow(2.0));
        assert_eq!(judge(&view(6.0)), Step::Hold);
        assert_eq!(judge(&view(12.0)), Step::Hold);
        assert_eq!(judge(&view(13.0)), shrink(2.0, Cause::Queue));
    }

    #[test]
    fn a_queue_that_is_far_too_long_is_halved_but_no_more_than_a_fifth_of_the_limit_goes() {
        assert_eq!(judge(&view(32.0)), shrink(10.0, Cause::Queue));
        assert_eq!(judge(&view(92.0)), shrink(20.0, Cause::Queue));
    }

    #[test]
    fn it_does_not_grow_when_it_is_not_in_use() {
        let peak = |peak, queue| judge(&View { peak, ..view(queue) });

        assert_eq!(peak(99.0, 0.0), Step::Hold);
        assert_eq!(peak(100.0, 0.0), Step::Grow(12.0));
        // Below the half of it, it does not even shrink: the latency has other causes.
        assert_eq!(peak(50.0, 40.0), shrink(14.0, Cause::Queue));
        assert_eq!(peak(49.0, 40.0), Step::Hold);
    }

    #[test]
    fn calls_that_are_dropped_make_it_shrink() {
        let dropped = |dropped, queue| judge(&View { dropped, ..view(queue) });

        assert_eq!(dropped(0.009, 0.0), Step::Grow(12.0));
        assert_eq!(dropped(0.01, 6.0), shrink(2.0, Cause::Drops));
        assert_eq!(dropped(0.1, 6.0), shrink(10.0, Cause::Drops));
        let nothing_ends = View { dropped: 1.0, queue: None, ..view(0.0) };
        assert_eq!(judge(&nothing_ends), shrink(10.0, Cause::Drops));
    }

    #[test]
    fn calls_that_are_stuck_while_others_are_quick_only_keep_it_from_growing() {
        let dropped = |dropped| judge(&View { dropped, ..view(0.0) });

        assert_eq!(dropped(0.01), Step::Hold);
        assert_eq!(dropped(0.49), Step::Hold);
        assert_eq!(dropped(0.5), shrink(10.0, Cause::Drops));
    }

    #[test]
    fn a_crowd_keeps_it_from_growing_and_makes_it_shrink_if_there_is_a_queue() {
        let crowded = |queue| View { is_crowded: true, ..view(queue) };

        assert_eq!(judge(&crowded(0.0)), Step::Hold);
        assert_eq!(judge(&crowded(6.0)), shrink(2.0, Cause::Crowd));
        assert_eq!(judge(&View { peak: 99.0, ..crowded(6.0) }), Step::Hold);
    }

    #[test]
    fn both_latencies_have_to_agree() {
        let queue = Some(Queue { low: 2.0, high: 20.0 });

        assert_eq!(judge(&View { queue, ..view(0.0) }), Step::Hold);
    }

    #[test]
    fn until_a_queue_is_seen_it_grows_by_half() {
        assert_eq!(judge(&View { is_ramping: true, ..view(1.0) }), Step::Grow(50.0));
        assert_eq!(judge(&View { is_ramping: true, ..view(3.0) }), Step::Grow(2.0));
    }

    #[test]
    fn the_queue_is_what_is_in_flight_beyond_the_latency_without_one() {
        let second = Duration::from_secs(1);
        let queue = |latency| Queue::estimate(100.0, second, [second.mul_f64(latency); 2], 10_000);

        // Up to the tolerance, which is 16.5 % for so many samples, there is none.
        assert!(queue(1.16).high < 0.5);
        assert!((queue(2.33).low - 50.0).abs() <= 1.0);
    }
}
