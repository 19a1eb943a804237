//! From windows to limits.
//!
//! From time to time the limiter makes room: for a few round trips less than two thirds
//! of the calls may run, and what those take is the latency without a queue. The times
//! vary, so that the instances of a fleet do not do it together.

use std::collections::VecDeque;
use std::time::Duration;

use super::baseline::Baseline;
use super::settings::{FEWEST, Settings};
use super::trend::Trend;
use super::vegas::{self, Cause, Queue, Step, View};
use crate::core::clock::Time;
use crate::core::random::Random;

/// The limit is at most so many times the most calls at once in the last windows.
const HEADROOM: f64 = 5.0;
const PEAKS: usize = 10;
/// Latencies of which the median is taken.
const MEDIAN: usize = 5;
/// A measurement of the latency without a queue is due after so many calls per limit.
const PROBE_EVERY: f64 = 30.0;
/// Meanwhile only that share of the calls may run, without the longest queue…
const PROBE_SHARE: f64 = 2.0 / 3.0;
/// … for so many round trips, the first of which empties the queue…
const PROBE_TRIPS: u32 = 4;
/// … and up to so many times longer, until there are…
const PROBE_PATIENCE: u32 = 4;
/// … so many times more samples than in other windows.
const PROBE_SAMPLES: u32 = 2;
/// Before the next one, so many times longer has to pass.
const PROBE_PAUSE: u32 = 20;
/// It comes early when the limit was lowered so often in a row: maybe the calls have
/// become slower by nature, and then lowering it further would be wrong.
const DOUBTS: u32 = 2;

/// What happened in a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// The 90th percentile; `None` if nothing was completed.
    pub(super) latency: Option<Duration>,
    pub(super) completed: u64,
    pub(super) dropped: u64,
    /// The most calls that were in flight at once.
    pub(super) peak: usize,
}

/// What holds until the next window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) limit: usize,
    /// What is enforced: less than the limit while room is made.
    pub(super) ceiling: usize,
    /// Calls that began before are not measured.
    pub(super) measured_from: Time,
    pub(super) window_ends: Time,
}

/// All that is known about the calls.
#[derive(Debug)]
pub(super) struct Controller {
    settings: Settings,
    limit: f64,
    is_ramping: bool,
    opened: Time,
    /// How long the open window is meant to be.
    length: Duration,
    /// How long it may become for lack of samples.
    longest: Duration,
    is_probing: bool,
    latencies: VecDeque<Duration>,
    peaks: VecDeque<usize>,
    trend: Trend,
    baseline: Baseline,
    samples_until_probe: f64,
    /// When the next one is due, if there were enough samples…
    probe_not_before: Time,
    /// … and before which even an early one would take too much of the throughput.
    paused_until: Time,
    shrunk_in_a_row: u32,
}

impl Controller {
    pub(super) fn new(settings: Settings, now: Time) -> Self {
        let limit = as_f64(settings.initial);
        Self {
            settings,
            limit,
            is_ramping: true,
            opened: now,
            length: settings.shortest_window,
            longest: settings.longest_window,
            is_probing: false,
            latencies: VecDeque::with_capacity(MEDIAN),
            peaks: VecDeque::with_capacity(PEAKS),
            trend: Trend::default(),
            baseline: Baseline::default(),
            samples_until_probe: PROBE_EVERY * limit,
            probe_not_before: now,
            paused_until: now,
            shrunk_in_a_row: 0,
        }
    }

    /// The latency without a queue.
    pub(super) fn baseline(&self) -> Option<Duration> {
        self.baseline.latency()
    }

    pub(super) fn is_probing(&self) -> bool {
        self.is_probing
    }

    /// Whether so many calls are enough for the window that is open.
    pub(super) fn is_due(&self, calls: u64, now: Time) -> bool {
        let samples = self.settings.samples * if self.is_probing { PROBE_SAMPLES } else { 1 };
        u64::from(samples) <= calls || self.opened + self.longest <= now
    }

    /// When to ask again after [`Self::is_due`] said no.
    pub(super) fn postponed(&self, now: Time) -> Time {
        (now + self.length / 4).min(self.opened + self.longest)
    }

    /// Learns from the window that is open, and opens the next one.
    pub(super) fn close(&mut self, window: &Window, now: Time, random: &Random) -> Plan {
        let latency = window.latency.filter(|_| u64::from(FEWEST) <= window.completed);
        let was_probing = std::mem::take(&mut self.is_probing);
        if was_probing {
            self.learn(latency, now, random);
        } else {
            self.adapt(window, latency, now);
        }
        self.opened = now;
        match latency {
            Some(latency) if !was_probing && self.wants_probe(window, now) => {
                self.probe(window, latency, now)
            }
            _ => self.measure(window.latency, now),
        }
    }

    /// Ends an ordinary window.
    fn adapt(&mut self, window: &Window, latency: Option<Duration>, now: Time) {
        self.peaks.truncate(PEAKS - 1);
        self.peaks.push_front(window.peak);
        self.samples_until_probe -= count(window.completed);
        let latencies = latency.map(|latency| [latency, self.median(latency)]);
        if let Some([latency, smooth]) = latencies {
            let length = now.since(self.opened).as_secs_f64().max(f64::MIN_POSITIVE);
            let throughput = count(window.completed) / length;
            self.trend.add(as_f64(window.peak), throughput, latency);
            self.baseline.see(smooth);
        }
        let view = self.view(window, latencies);
        let step = vegas::judge(&view);
        let has_queue = view.queue.is_some_and(|queue| self.limit.log10() < queue.high);
        self.is_ramping &= !has_queue && !matches!(step, Step::Shrink { .. });
        self.apply(step);
    }

    fn view(&self, window: &Window, latencies: Option<[Duration; 2]>) -> View {
        let (limit, peak) = (self.limit, as_f64(window.peak));
        let (completed, dropped) = (count(window.completed), count(window.dropped));
        let queue = latencies.zip(self.baseline()).map(|(latencies, baseline)| {
            Queue::estimate(peak.clamp(1.0, limit), baseline, latencies, window.completed)
        });
        View {
            limit,
            peak,
            dropped: dropped / (dropped + completed).max(1.0),
            queue,
            is_crowded: self.trend.is_crowded(),
            is_ramping: self.is_ramping,
        }
    }

    fn apply(&mut self, step: Step) {
        let is_doubtful = matches!(step, Step::Shrink { cause: Cause::Queue, .. });
        self.shrunk_in_a_row = if is_doubtful { self.shrunk_in_a_row + 1 } else { 0 };
        let wanted = match step {
            Step::Hold => self.limit,
            Step::Grow(by) => self.limit + by,
            Step::Shrink { by, .. } => self.limit - by,
        };
        // A service that has little to do keeps room for a burst.
        let peak = self.peaks.iter().copied().max().unwrap_or(0);
        let most = (HEADROOM * as_f64(peak)).max(as_f64(self.settings.initial));
        let (min, max) = (as_f64(self.settings.min), as_f64(self.settings.max));
        self.limit = wanted.min(most).clamp(min, max);
    }

    /// The median of the last latencies, this one included.
    fn median(&mut self, latency: Duration) -> Duration {
        self.latencies.truncate(MEDIAN - 1);
        self.latencies.push_front(latency);
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    /// Ends a window in which room was made.
    fn learn(&mut self, latency: Option<Duration>, now: Time, random: &Random) {
        if let Some(latency) = latency {
            self.baseline.measure(latency);
        }
        self.shrunk_in_a_row = 0;
        let share = 0.5 + random.unit() / 2.0;
        self.samples_until_probe = share * PROBE_EVERY * self.limit;
        // With half of the calls for the time it took, so much is lost: 2.5 %.
        let pause = now.since(self.opened) * PROBE_PAUSE;
        self.paused_until = now + pause;
        self.probe_not_before = now + self.settings.probe_interval.mul_f64(share).max(pause);
    }

    fn wants_probe(&self, window: &Window, now: Time) -> bool {
        let is_in_use = self.limit <= 2.0 * as_f64(window.peak);
        let is_due = self.samples_until_probe <= 0.0 && self.probe_not_before <= now;
        let is_doubtful = self.baseline.is_falling() || DOUBTS <= self.shrunk_in_a_row;
        let is_doubtful = is_doubtful && self.paused_until <= now;
        let is_wanted = is_due || self.baseline.is_disputed() || is_doubtful;
        is_in_use && is_wanted && as_f64(self.settings.min) < self.limit
    }

    fn probe(&mut self, window: &Window, latency: Duration, now: Time) -> Plan {
        self.is_probing = true;
        self.length = (latency * PROBE_TRIPS).min(self.settings.longest_window);
        self.longest = (self.length * PROBE_PATIENCE).min(self.settings.longest_window);
        let in_use = as_f64(window.peak).min(self.limit);
        let least = as_f64(self.settings.min);
        let ceiling = ((in_use - vegas::beta(self.limit)) * PROBE_SHARE).max(least);
        Plan {
            limit: self.whole_limit(),
            ceiling: whole(ceiling),
            measured_from: now + self.length / PROBE_TRIPS,
            window_ends: now + self.length,
        }
    }

    fn measure(&mut self, latency: Option<Duration>, now: Time) -> Plan {
        let (shortest, longest) = (self.settings.shortest_window, self.settings.longest_window);
        self.length = (latency.unwrap_or_default() * 2).clamp(shortest, longest);
        self.longest = longest;
        Plan {
            limit: self.whole_limit(),
            ceiling: self.whole_limit(),
            measured_from: Time::ZERO,
            window_ends: now + self.length,
        }
    }

    fn whole_limit(&self) -> usize {
        whole(self.limit)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between the limits, which are of that type"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 calls in flight")]
fn as_f64(calls: usize) -> f64 {
    calls as f64
}

#[expect(clippy::cast_precision_loss, reason = "no window has 2^52 calls")]
fn count(calls: u64) -> f64 {
    calls as f64
}
