//! The counts of one account and of one address.

use std::time::Duration;

use time::OffsetDateTime;

use super::Limits;

/// Failures of one account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    failures: u32,
    /// When the next attempt is let through.
    open_time: Option<OffsetDateTime>,
    /// When all is forgiven, unless it fails again before.
    forget_time: Option<OffsetDateTime>,
}

/// Failures from one address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Address {
    failures: u32,
    window_end: Option<OffsetDateTime>,
}

impl Account {
    /// Counts an attempt as failed in advance, or says how long it must wait.
    pub(super) fn admit(&mut self, now: OffsetDateTime, limits: &Limits) -> Result<(), Duration> {
        wait(self.open_time, now)?;
        if self.forget_time.is_some_and(|forget_time| forget_time <= now) {
            self.forgive();
        }
        self.failures = self.failures.saturating_add(1);
        self.open_time =
            (limits.account_failures <= self.failures).then(|| now + self.delay(limits));
        self.forget_time = Some(self.open_time.unwrap_or(now) + limits.window);
        Ok(())
    }

    pub(super) fn withdraw(&mut self, limits: &Limits) {
        self.failures = self.failures.saturating_sub(1);
        if self.failures < limits.account_failures {
            self.open_time = None;
        }
    }

    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// One second after the first failure too many, and twice as long after each further one.
    fn delay(&self, limits: &Limits) -> Duration {
        let doublings = self.failures.saturating_sub(limits.account_failures);
        let seconds = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        Duration::from_secs(seconds).min(limits.longest_delay)
    }
}

impl Address {
    pub(super) fn admit(&self, now: OffsetDateTime, limits: &Limits) -> Result<(), Duration> {
        if self.failures < limits.address_failures { Ok(()) } else { wait(self.window_end, now) }
    }

    pub(super) fn fail(&mut self, now: OffsetDateTime, limits: &Limits) {
        if self.window_end.is_none_or(|window_end| window_end <= now) {
            *self = Self { failures: 0, window_end: Some(now + limits.window) };
        }
        self.failures = self.failures.saturating_add(1);
    }
}

/// Fails with the time that is left until `open_time`.
fn wait(open_time: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<(), Duration> {
    let left = open_time.map_or(time::Duration::ZERO, |open_time| open_time - now);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Err(left),
        // It has come, or lies behind us.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
    const LIMITS: Limits = Limits {
        account_failures: 5,
        address_failures: 50,
        window: Duration::from_mins(15),
        longest_delay: Duration::from_mins(15),
    };

    #[test]
    fn delays_double_up_to_the_longest() {
        let (mut account, mut now, mut delays) = (Account::default(), NOW, Vec::new());
        for _ in 0..80 {
            account.admit(now, &LIMITS).unwrap();
            let delay = wait(account.open_time, now).err().unwrap_or_default();
            delays.push(delay.as_secs());
            now += delay;
        }

        assert_eq!(delays[..8], [0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(delays[13..16], [512, 900, 900]);
        assert_eq!(delays.last(), Some(&900));
    }

    #[test]
    fn an_account_that_is_left_alone_for_a_window_is_forgiven() {
        let mut account = Account::default();
        for _ in 0..5 {
            account.admit(NOW, &LIMITS).unwrap();
        }
        let open = NOW + Duration::from_secs(1);

        let mut early = account;
        early.admit(open + LIMITS.window - Duration::from_secs(1), &LIMITS).unwrap();
        assert_eq!(early.failures, 6);

        account.admit(open + LIMITS.window, &LIMITS).unwrap();
        assert_eq!(account.failures, 1);
    }
}
