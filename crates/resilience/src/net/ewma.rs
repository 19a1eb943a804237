//! What the next call to one endpoint is likely to cost, judged by those before it.
//!
//! The latency is a peak-EWMA (Finagle): a slow answer counts at once, a quick one as much
//! as the time that it stands for. But one slow answer is no habit, however slow it was, and
//! an endpoint that only started cold would be left alone for as long as it takes to forget
//! that: so each one lifts the latency by no more than [half](LIFT).
//!
//! A latency is blind to errors, and an endpoint that fails fast would look like the best
//! one. So the share of recent calls that failed is counted too, and its *square*, times a
//! penalty of seconds, is added to the latency. The square is what tells an accident from a
//! habit: one failure in a thousand calls costs 5 µs where the penalty is 5 s, one in ten
//! 50 ms, and nothing but failures 5 s.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::core::clock::{Time, nanos};

/// A moment in units of 2²⁰ ns, which are nearly milliseconds. It wraps after 52 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(u32);

/// How fast the past is forgotten, per tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    latency: f32,
    recent: f32,
}

/// Calls and failures of the last seconds, the older ones counted less, and of not more
/// than about the last [`MEMORY`] calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Recent {
    pub(crate) calls: f32,
    pub(crate) failures: f32,
}

/// What a call is likely to cost, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    latency: f32,
    /// For its failures.
    penalty: f32,
}

impl Cost {
    pub(crate) fn seconds(self) -> f32 {
        self.latency + self.penalty
    }

    /// Whether the difference says nothing: the peaks of equal endpoints are
    /// [that far](ALIKE) apart, and a failure in a hundred is an accident.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let (less, more) = (self.latency.min(other.latency), self.latency.max(other.latency));
        more <= less * ALIKE && self.penalty.max(other.penalty) <= less
    }
}

/// The past of one endpoint, in three words that are changed without a lock.
#[derive(Debug)]
pub(crate) struct Load {
    /// Seconds, and the tick up to which this word and the next have been decayed.
    latency: AtomicU64,
    /// See [`Recent`]. Whoever moves the tick of `latency` decays it, so that each
    /// stretch of time is applied once; the factors may arrive in any order.
    recent: AtomicU64,
    /// Seconds that the last failure asked for.
    penalty: AtomicU32,
}

/// Calls that are taken to have succeeded before the first one, so that the first
/// failure of an endpoint does not look like a habit.
const BENEFIT_OF_DOUBT: f32 = 10.0;

/// More calls than this are not remembered, so that a long good past does not hide a bad
/// present: what fails fast, fails so many times in less than a second.
const MEMORY: f32 = 512.0;

/// Latencies that differ by no more than this factor are taken to be the same. It is what
/// lies between the median and the 99th percentile of one busy endpoint: by the latency
/// alone, one of three equal endpoints had two thirds of the calls for seconds.
const ALIKE: f32 = 5.0;

/// What one answer lifts the latency by at most, as a factor of what was last known. Four of
/// them are no longer [alike](ALIKE), so a slow endpoint is left alone after its fourth answer.
/// When the first counted in full, two fresh processes that took 1 s for it, and then 20 ms,
/// had 14 of the next 100 calls each.
const LIFT: f32 = 1.5;

/// Differences below this are noise, in seconds.
const FLOOR: f32 = 1e-4;

/// Fewer failures than this are none. It also keeps the decay away from subnormal
/// numbers, which are slow.
const NEGLIGIBLE: f32 = 1e-3;

/// A tick that is at most this far in the future was set by another thread just now;
/// one further away lies before the last wrap.
const RACE: u32 = 1 << 16;

impl Tick {
    #[expect(clippy::cast_possible_truncation, reason = "it is meant to wrap")]
    pub(crate) fn at(now: Time) -> Self {
        Self((now.as_nanos() >> 20) as u32)
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// A duration in ticks.
    pub(crate) fn span(duration: Duration) -> u32 {
        u32::try_from(nanos(duration) >> 20).unwrap_or(u32::MAX)
    }

    /// Ticks since `earlier`; zero if that is later.
    pub(crate) fn since(self, earlier: Self) -> u32 {
        let elapsed = self.0.wrapping_sub(earlier.0);
        if elapsed > u32::MAX - RACE { 0 } else { elapsed }
    }
}

impl Rates {
    /// After `latency` without an answer the latency is down to a third (1/e), and
    /// after `recent` the counts are.
    pub(crate) fn new(latency: Duration, recent: Duration) -> Self {
        let tick = Duration::from_nanos(1 << 20).as_secs_f32();
        Self { latency: -tick / latency.as_secs_f32(), recent: -tick / recent.as_secs_f32() }
    }
}

impl Recent {
    /// The share of failures, with the [benefit of the doubt](BENEFIT_OF_DOUBT).
    pub(crate) fn failure_share(self) -> f32 {
        self.failures / (self.calls + BENEFIT_OF_DOUBT)
    }

    fn decayed(self, factor: f32) -> Self {
        let failures = self.failures * factor;
        Self {
            calls: self.calls * factor,
            failures: if failures < NEGLIGIBLE { 0.0 } else { failures },
        }
    }
}

impl Load {
    pub(crate) fn new(latency: Duration, now: Time) -> Self {
        Self {
            latency: AtomicU64::new(pack(latency.as_secs_f32(), Tick::at(now).0)),
            recent: AtomicU64::new(0),
            penalty: AtomicU32::new(0),
        }
    }

    /// Learns how long an answer took.
    pub(crate) fn answered(&self, rates: Rates, latency: Duration, now: Time) {
        let seconds = latency.as_secs_f32();
        self.advance(rates, seconds, seconds, now);
    }

    /// Learns that an answer would have taken longer than this, as from a call that
    /// its caller gave up. It can only make the endpoint look slower.
    pub(crate) fn unanswered(&self, rates: Rates, elapsed: Duration, now: Time) {
        self.advance(rates, elapsed.as_secs_f32(), 0.0, now);
    }

    pub(crate) fn succeeded(&self) {
        self.count(0.0);
    }

    /// Learns of a failure that is to cost `penalty`. How soon it came says nothing
    /// about the latency.
    pub(crate) fn failed(&self, rates: Rates, penalty: Duration, now: Time) -> Recent {
        self.penalty.store(penalty.as_secs_f32().to_bits(), Ordering::Relaxed);
        self.advance(rates, 0.0, 0.0, now);
        self.count(1.0)
    }

    /// Forgets the failures, but not the latency.
    pub(crate) fn forgive(&self) {
        self.recent.store(0, Ordering::Relaxed);
    }

    /// What a call is likely to cost now. What is idle gets cheaper.
    pub(crate) fn cost(&self, rates: Rates, now: Tick) -> Cost {
        let (latency, recent) = self.read(rates, now);
        let latency = latency.max(FLOOR);
        if recent.failures == 0.0 {
            return Cost { latency, penalty: 0.0 };
        }
        let share = recent.failure_share();
        let penalty = f32::from_bits(self.penalty.load(Ordering::Relaxed)) * share * share;
        Cost { latency, penalty }
    }

    /// The latency in seconds, and the calls, both as of now.
    pub(crate) fn read(&self, rates: Rates, now: Tick) -> (f32, Recent) {
        let (latency, decayed) = unpack(self.latency.load(Ordering::Relaxed));
        let recent = Recent::unpack(self.recent.load(Ordering::Relaxed));
        match now.since(Tick(decayed)) {
            0 => (latency, recent),
            elapsed => {
                let recent = if recent.failures == 0.0 {
                    recent
                } else {
                    recent.decayed(factor(rates.recent, elapsed))
                };
                (latency * factor(rates.latency, elapsed), recent)
            }
        }
    }

    /// Moves the latency from what it was down to `towards`, by the time that passed, or
    /// [lifts](LIFT) it up to `at_least`.
    fn advance(&self, rates: Rates, at_least: f32, towards: f32, now: Time) {
        let now = Tick::at(now);
        let mut word = self.latency.load(Ordering::Relaxed);
        loop {
            let (latency, decayed) = unpack(word);
            let elapsed = now.since(Tick(decayed));
            if elapsed == 0 && at_least <= latency {
                return;
            }
            let kept = factor(rates.latency, elapsed);
            let faded = latency * kept;
            let moved = if at_least > faded {
                // Not of what silence has left: what was known to be slow is so at once.
                at_least.min(latency.max(FLOOR) * LIFT).max(faded)
            } else {
                faded + towards * (1.0 - kept)
            };
            let tick = if elapsed == 0 { decayed } else { now.0 };
            // Relaxed: the words are numbers for their own sake and publish nothing.
            match self.latency.compare_exchange_weak(
                word,
                pack(moved, tick),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) if elapsed == 0 => return,
                Ok(_) => return self.decay_recent(factor(rates.recent, elapsed)),
                Err(current) => word = current,
            }
        }
    }

    fn decay_recent(&self, factor: f32) {
        self.update_recent(|recent| recent.decayed(factor));
    }

    fn count(&self, failures: f32) -> Recent {
        self.update_recent(|recent| {
            let (calls, failures) = (recent.calls + 1.0, recent.failures + failures);
            Recent { calls, failures }.decayed((MEMORY / calls).min(1.0))
        })
    }

    fn update_recent(&self, change: impl Fn(Recent) -> Recent) -> Recent {
        let mut word = self.recent.load(Ordering::Relaxed);
        loop {
            let changed = change(Recent::unpack(word));
            match self.recent.compare_exchange_weak(
                word,
                changed.pack(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return changed,
                Err(current) => word = current,
            }
        }
    }
}

impl Recent {
    fn pack(self) -> u64 {
        pack(self.calls, self.failures.to_bits())
    }

    fn unpack(word: u64) -> Self {
        let (calls, failures) = unpack(word);
        Self { calls, failures: f32::from_bits(failures) }
    }
}

/// What is left after `elapsed` ticks.
#[expect(clippy::cast_precision_loss, reason = "a share, of which three digits matter")]
fn factor(rate: f32, elapsed: u32) -> f32 {
    if elapsed == 0 { 1.0 } else { (rate * elapsed as f32).exp() }
}

fn pack(high: f32, low: u32) -> u64 {
    u64::from(high.to_bits()) << 32 | u64::from(low)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests;
