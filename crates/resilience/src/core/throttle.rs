//! Refusing calls here that the peer would refuse there.

mod window;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use window::{Counts, Place, RECENT, STEPS, Window};

use super::clock::{Time, nanos};
use super::random::Random;

/// Holds back calls to a peer that does not accept them, so that it does not have to
/// spend its time on refusals.
///
/// Client-side throttling (Google SRE, "Handling Overload"): over the window, a call
/// is refused with the probability `(requests - k * accepts) / (requests + 1)`, where
/// `requests` counts the refused ones too. So the peer gets about `k` times what it
/// accepts, by which it can show that it accepts more again.
///
/// The same is asked of the last fifth of the window alone, and the lower probability
/// counts: the long window says that it is worth while to refuse, and the short one that
/// it still is (as alerts do with two windows: Google SRE Workbook, "Alerting on SLOs").
/// A peer that is back after it accepted nothing for long has all its calls within half
/// a window.
///
/// Nothing is locked: a call that is let through reads the window and counts itself in
/// one word of it.
#[derive(Debug)]
pub struct AdaptiveThrottle {
    k: f64,
    cap: f64,
    /// Requests in a step below which nothing is refused.
    least: f64,
    window: Window<AtomicU64>,
}

/// How an [`AdaptiveThrottle`] decides. What is out of range is cut to it, and
/// not-a-number counts as the lowest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How many requests there may be for each that is accepted. The smaller, the less
    /// a sick peer gets, and the sooner bad luck counts as sickness. `1.0..`, default 2.
    pub k: f64,
    /// How far back it looks, in 15 steps; `100 ms..=1 h`, default 30 s.
    pub window: Duration,
    /// The highest probability; below 1, as something must get through to show that the
    /// peer is back. `0.0..=0.99`, default 0.9.
    pub cap: f64,
    /// With fewer requests a second over the window, nothing is refused: chance would
    /// decide. Default 5.
    pub at_least_per_second: f64,
}

impl AdaptiveThrottle {
    #[expect(clippy::manual_clamp, reason = "`max` replaces not-a-number, `clamp` keeps it")]
    pub fn new(settings: Settings) -> Self {
        let window = settings.window.clamp(Duration::from_millis(100), Duration::from_hours(1));
        Self {
            k: settings.k.max(1.0),
            cap: settings.cap.max(0.0).min(0.99),
            least: settings.at_least_per_second.max(0.0) * window.as_secs_f64() / f64::from(STEPS),
            window: Window::new(nanos(window)),
        }
    }

    /// Whether a call may be made. Either way it counts as a request, so ask once for
    /// each call, and not for retries.
    pub fn admit(&self, now: Time, random: &Random) -> bool {
        let place = self.window.place(now);
        let refuse = self.probability_at(place);
        self.window.count(place, 1, 0);
        !random.chance(refuse)
    }

    /// Notes that the peer accepted a call that was let through.
    ///
    /// That is every answer but "too much to do" and "not available". A call of which
    /// nothing was learned, as when its caller gave up, counts as accepted too: it must
    /// not look like a refusal.
    pub fn accepted(&self, now: Time) {
        self.window.count(self.window.place(now), 0, 1);
    }

    /// How likely the next call is refused.
    pub fn probability(&self, now: Time) -> f64 {
        self.probability_at(self.window.place(now))
    }

    fn probability_at(&self, place: Place) -> f64 {
        let long = self.probability_by(self.window.counts(place), STEPS);
        if long > 0.0 {
            long.min(self.probability_by(self.window.recent(place), RECENT))
        } else {
            0.0
        }
    }

    /// From what was counted in so many steps.
    fn probability_by(&self, counts: Counts, steps: u32) -> f64 {
        let (requests, accepts) = (f64::from(counts.requests), f64::from(counts.accepts));
        let excess = requests - self.k * accepts;
        if excess <= 0.0 || requests < self.least * f64::from(steps) {
            return 0.0;
        }
        (excess / (requests + 1.0)).min(self.cap)
    }
}

impl Default for AdaptiveThrottle {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { k: 2.0, window: Duration::from_secs(30), cap: 0.9, at_least_per_second: 5.0 }
    }
}

#[cfg(test)]
mod tests;
