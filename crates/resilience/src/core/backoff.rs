//! How long to wait before the next attempt.

use std::time::Duration;

use super::random::Random;

/// Grows with each attempt and is random, so that those who failed together do not
/// come back together (Brooker, "Exponential Backoff And Jitter", AWS 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait; it is doubled for each further one. Default 25 ms.
    pub base: Duration,
    /// The bound of every wait. Default 1 s.
    pub cap: Duration,
    /// Default [`Jitter::Full`].
    pub jitter: Jitter,
}

/// Which part of the wait is random. All stay random at the cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// All of it: uniform from zero to the bound.
    #[default]
    Full,
    /// Half of it.
    Equal,
    /// Uniform from the base to three times the wait before.
    Decorrelated,
}

impl Default for Backoff {
    /// 25 ms, doubled up to 1 s, with full jitter.
    fn default() -> Self {
        Self { base: Duration::from_millis(25), cap: Duration::from_secs(1), jitter: Jitter::Full }
    }
}

impl Backoff {
    /// The wait before the retry number `retry`, counted from zero. `previous` is the
    /// wait before that one, which only [`Jitter::Decorrelated`] looks at.
    pub fn delay(&self, retry: u32, previous: Duration, random: &Random) -> Duration {
        let grown = self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap);
        match self.jitter {
            Jitter::Full => random.between(Duration::ZERO, grown),
            Jitter::Equal => random.between(grown / 2, grown),
            Jitter::Decorrelated => {
                let bound = previous.max(self.base).saturating_mul(3).min(self.cap);
                // A base near the cap must not take the chance out of it.
                random.between(self.base.min(bound / 2), bound)
            }
        }
    }
}

#[cfg(test)]
mod tests;
