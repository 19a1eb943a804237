//! Slows down who guesses passwords.
//!
//! Failures are counted for each account, whether or not it exists, and for each
//! address they come from. An account is never locked: from the fifth failure
//! on, the next attempt must wait one second, then two, four, and so on to a
//! limit. An address from which an account was signed in to is counted apart,
//! so that strangers cannot keep its owner out by failing on purpose. An address
//! that fails too often waits until its window is over.
//!
//! Counts live in memory: each process has its own, and a restart forgets them.
//! They are bounded in number; the least recently used are forgotten first.

mod count;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use trellis_chassis::Clock;

use self::count::{Account, Address};
use crate::domain::{EmailKey, Origin};
use crate::error::Error;

/// How many counts of each sort are kept: tens of megabytes at the most.
const CAPACITY: u64 = 100_000;
/// How long an address stays familiar to an account that does not use it.
const FAMILIAR: Duration = Duration::from_hours(30 * 24);

/// How much failing is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many failures an account has before delays begin.
    pub(crate) account_failures: u32,
    /// How many failures an address has in one window.
    pub(crate) address_failures: u32,
    /// How long an account must be left alone to be forgiven, and how long an address is counted.
    pub(crate) window: Duration,
    /// Where the delay of an account stops growing.
    pub(crate) longest_delay: Duration,
}

/// Counts failures and decides who must wait.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: Limits,
    clock: Arc<dyn Clock>,
    accounts: Cache<(EmailKey, Option<Origin>), Arc<Mutex<Account>>>,
    addresses: Cache<Origin, Arc<Mutex<Address>>>,
    familiar: Cache<(EmailKey, Origin), ()>,
}

/// An attempt that was let through. It counts as failed unless it says otherwise.
///
/// Towards its account it counts from the start, so that many attempts at once
/// get no further than as many in a row; and hanging up does not undo it.
#[derive(Debug)]
#[must_use = "an attempt that is dropped counts as failed"]
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Arc<Mutex<Account>>,
    email: EmailKey,
    origin: Option<Origin>,
    failed: bool,
}

impl Throttle {
    pub(crate) fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        // The caches' own time only frees memory; what counts is the clock's.
        let keep = 2 * (limits.window + limits.longest_delay);
        Self {
            limits,
            clock,
            accounts: cache(CAPACITY, keep),
            addresses: cache(CAPACITY, keep),
            familiar: cache(CAPACITY, FAMILIAR),
        }
    }

    /// Lets an attempt through, or says how long to wait.
    pub(crate) fn admit(
        &self,
        email: EmailKey,
        origin: Option<Origin>,
    ) -> Result<Attempt<'_>, Error> {
        let now = self.clock.now();
        if let Some(address) = origin.and_then(|origin| self.addresses.get(&origin)) {
            lock(&address).admit(now, &self.limits).map_err(refused)?;
        }
        let familiar = origin.filter(|&origin| self.familiar.contains_key(&(email, origin)));
        let account = self.accounts.get_with((email, familiar), Arc::default);
        lock(&account).admit(now, &self.limits).map_err(refused)?;
        Ok(Attempt { throttle: self, account, email, origin, failed: true })
    }
}

impl Attempt<'_> {
    /// The password was right: the account's failures are forgiven, the address's are not.
    ///
    /// Else an attacker could clear their address with an account of their own.
    pub(crate) fn succeeded(mut self) {
        self.failed = false;
        lock(&self.account).forgive();
        if let Some(origin) = self.origin {
            self.throttle.familiar.insert((self.email, origin), ());
        }
    }

    /// The password was never looked at.
    pub(crate) fn withdraw(mut self) {
        self.failed = false;
        lock(&self.account).withdraw(&self.throttle.limits);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let (true, Some(origin)) = (self.failed, self.origin) {
            let address = self.throttle.addresses.get_with(origin, Arc::default);
            lock(&address).fail(self.throttle.clock.now(), &self.throttle.limits);
        }
    }
}

fn cache<K, V>(capacity: u64, keep: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(capacity)
        // The default policy prefers old keys to new ones, and would not count a new account.
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(keep)
        .build()
}

/// A count is whole after each step, so a panic elsewhere does not spoil it.
fn lock<T>(count: &Mutex<T>) -> MutexGuard<'_, T> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(retry_after: Duration) -> Error {
    Error::TooManyAttempts { retry_after }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_chassis::ManualClock;

    use super::*;
    use crate::domain::Email;

    const LIMITS: Limits = Limits {
        account_failures: 5,
        address_failures: 50,
        window: Duration::from_mins(15),
        longest_delay: Duration::from_mins(15),
    };

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 12:00 UTC)));
        (Throttle::new(LIMITS, clock.clone()), clock)
    }

    fn email(name: &str) -> EmailKey {
        format!("{name}@example.com").parse::<Email>().unwrap().key()
    }

    fn origin(last: u8) -> Origin {
        format!("203.0.113.{last}").parse().unwrap()
    }

    fn wait(result: Result<Attempt<'_>, Error>) -> Duration {
        match result {
            Ok(_) => Duration::ZERO,
            Err(Error::TooManyAttempts { retry_after }) => retry_after,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn strangers_cannot_keep_an_owner_out() {
        let (throttle, _) = throttle();
        throttle.admit(email("ada"), Some(origin(1))).unwrap().succeeded();

        for _ in 0..5 {
            drop(throttle.admit(email("ada"), Some(origin(2))));
        }

        assert!(!wait(throttle.admit(email("ada"), Some(origin(2)))).is_zero());
        assert!(wait(throttle.admit(email("ada"), Some(origin(1)))).is_zero());
    }

    #[test]
    fn many_attempts_at_once_get_no_further_than_as_many_in_a_row() {
        let (throttle, _) = throttle();

        let admitted: Vec<_> =
            (0..20).filter_map(|_| throttle.admit(email("ada"), None).ok()).collect();

        assert_eq!(admitted.len(), 5);
    }

    #[test]
    fn an_attempt_that_was_never_looked_at_does_not_count() {
        let (throttle, _) = throttle();

        for _ in 0..20 {
            throttle.admit(email("ada"), Some(origin(1))).unwrap().withdraw();
        }

        assert!(wait(throttle.admit(email("ada"), Some(origin(1)))).is_zero());
    }

    #[test]
    fn an_address_waits_for_the_end_of_its_window_even_if_it_has_an_account() {
        let (throttle, clock) = throttle();
        for number in 0..50 {
            drop(throttle.admit(email(&format!("user{number}")), Some(origin(1))).unwrap());
            throttle.admit(email("own"), Some(origin(2))).unwrap().succeeded();
        }

        clock.advance(Duration::from_mins(5));
        assert_eq!(wait(throttle.admit(email("own"), Some(origin(1)))), Duration::from_mins(10));
        assert!(wait(throttle.admit(email("own"), Some(origin(2)))).is_zero());

        clock.advance(Duration::from_mins(10));
        assert!(wait(throttle.admit(email("own"), Some(origin(1)))).is_zero());
    }
}
