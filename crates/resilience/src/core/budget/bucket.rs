//! A bucket of thousandths of tokens in one word.

use crate::core::cell::{Cell64, Stamped};
use crate::core::clock::Time;

/// Filled by calls and by time, up to a bound.
///
/// The word holds the level and the tick at which time was last looked at. Time fills
/// in whole ticks, so that nothing is lost to rounding however often it is looked at.
#[derive(Debug)]
pub(in crate::core) struct Bucket<C> {
    per_call: u32,
    per_tick: u32,
    burst: u32,
    word: C,
}

impl<C: Cell64> Bucket<C> {
    /// All in thousandths, at most [`Stamped::MAX`].
    pub(in crate::core) fn new(per_call: u32, per_tick: u32, burst: u32, level: u32) -> Self {
        debug_assert!(burst <= Stamped::MAX && level <= burst, "the level fits into the word");
        let word = C::new(Stamped { tick: 0, value: level }.pack());
        Self { per_call, per_tick, burst, word }
    }

    pub(in crate::core) fn deposit(&self, now: Time) {
        self.word.update(|word| {
            // A full bucket is full at any time: no need to note which.
            if Stamped::unpack(word).value >= self.burst {
                return (word, ());
            }
            let filled = self.filled(word, now);
            (self.with(filled, filled.value.saturating_add(self.per_call)), ())
        });
    }

    pub(in crate::core) fn try_withdraw(&self, cost: u32, now: Time) -> bool {
        self.word.update(|word| {
            let filled = self.filled(word, now);
            match filled.value.checked_sub(cost) {
                Some(rest) => (self.with(filled, rest), true),
                None => (word, false),
            }
        })
    }

    pub(in crate::core) fn refund(&self, cost: u32) {
        self.word.update(|word| {
            let stamped = Stamped::unpack(word);
            (self.with(stamped, stamped.value.saturating_add(cost)), ())
        });
    }

    pub(in crate::core) fn level(&self, now: Time) -> u32 {
        self.filled(self.word.load(), now).value
    }

    fn with(&self, stamped: Stamped, level: u32) -> u64 {
        Stamped { value: level.min(self.burst), ..stamped }.pack()
    }

    /// With what time has brought. A caller whose clock is behind that of another sees
    /// what that one saw.
    fn filled(&self, word: u64, now: Time) -> Stamped {
        let then = Stamped::unpack(word);
        let tick = now.as_nanos() / Stamped::TICK_NANOS;
        if tick <= then.tick {
            return then;
        }
        let brought = (tick - then.tick).saturating_mul(u64::from(self.per_tick));
        let level = u32::try_from(brought).unwrap_or(u32::MAX).saturating_add(then.value);
        Stamped { tick, value: level.min(self.burst) }
    }
}
