use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::AtomicU64 as LoomU64;
use proptest::prelude::*;

use super::*;
use crate::core::backoff::Backoff;
use crate::core::random::Random;
use crate::core::simulation::{Agenda, at_millis};

/// How many attempts 30 000 calls at 1000 a second make while all of them fail.
fn attempts_in_an_outage(failure: FailureKind) -> u32 {
    let (budget, random) = (RetryBudget::default(), Random::seeded(19));
    let mut agenda = Agenda::new();
    for call in 0..30_000 {
        agenda.add(at_millis(call), 0);
    }
    let mut attempts = 0;
    while let Some((now, retries)) = agenda.next() {
        attempts += 1;
        if retries == 0 {
            budget.deposit(now);
        }
        let failed = now + Duration::from_millis(1);
        if retries < 2 && budget.try_withdraw(Cost::after(failure), failed) {
            let wait = Backoff::default().delay(retries, Duration::ZERO, &random);
            agenda.add(failed + wait, retries + 1);
        }
    }
    attempts
}

/// Behaviour 19.
#[test]
fn an_outage_gets_a_tenth_more_attempts_than_calls_and_the_floor() {
    let attempts = attempts_in_an_outage(FailureKind::Server);
    let (tenth, floor, burst) = (3_000, 30, 10);
    assert!(attempts <= 30_000 + tenth + floor + burst, "{attempts}");
    assert!(attempts >= 30_000 + tenth + floor, "what may be retried is: {attempts}");
}

/// Behaviour 19.
#[test]
fn an_outage_by_timeouts_gets_half_of_that() {
    let attempts = attempts_in_an_outage(FailureKind::Timeout);
    assert!((31_510..=31_520).contains(&attempts), "{attempts}");
}

/// Behaviour 28.
#[test]
fn of_two_who_race_for_one_token_exactly_one_gets_it() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::<LoomU64>::new(0, 0, 10_000, 1_000));
        let racers = [(); 2].map(|()| {
            let bucket = bucket.clone();
            loom::thread::spawn(move || bucket.try_withdraw(1_000, Time::ZERO))
        });
        let won = racers.map(|racer| racer.join().unwrap());
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(bucket.level(Time::ZERO), 0);
    });
}

/// Behaviour 28.
#[test]
fn what_time_brings_is_brought_once_whoever_looks_first() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::<LoomU64>::new(0, 100, 10_000, 900));
        let racers = [(); 2].map(|()| {
            let bucket = bucket.clone();
            loom::thread::spawn(move || bucket.try_withdraw(1_000, at_millis(100)))
        });
        let won = racers.map(|racer| racer.join().unwrap());
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(bucket.level(at_millis(100)), 0);
    });
}

#[test]
fn nothing_is_lost_between_a_deposit_a_refund_and_a_withdrawal() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::<LoomU64>::new(100, 0, 10_000, 2_000));
        let (deposits, refunds) = (bucket.clone(), bucket.clone());
        let deposit = loom::thread::spawn(move || deposits.deposit(Time::ZERO));
        let refund = loom::thread::spawn(move || refunds.refund(1_000));
        assert!(bucket.try_withdraw(2_000, Time::ZERO));
        deposit.join().unwrap();
        refund.join().unwrap();
        assert_eq!(bucket.level(Time::ZERO), 1_100);
    });
}

#[test]
fn a_retry_after_a_timeout_costs_twice_and_within_a_retry_twice_again() {
    assert_eq!(Cost::after(FailureKind::ConnectionLost), RETRY);
    assert_eq!(Cost::after(FailureKind::Timeout), AFTER_TIMEOUT);
    let taken = |cost: Cost| {
        let budget = RetryBudget::default();
        assert!(budget.try_withdraw(cost, Time::ZERO));
        10_000 - budget.bucket.level(Time::ZERO)
    };
    let costs =
        [RETRY.within(0), AFTER_TIMEOUT.within(0), RETRY.within(1), AFTER_TIMEOUT.within(3)];
    assert_eq!(costs.map(taken), [1_000, 2_000, 2_000, 4_000]);
}

#[test]
fn a_clock_that_is_behind_brings_nothing_twice() {
    let budget = RetryBudget::new(Settings { ratio: 0.0, ..Settings::default() });
    for _ in 0..10 {
        assert!(budget.try_withdraw(RETRY, at_millis(0)));
    }
    assert!(budget.try_withdraw(RETRY, at_millis(1_000)));
    assert!(!budget.try_withdraw(RETRY, at_millis(900)));
    assert!(!budget.try_withdraw(RETRY, at_millis(1_900)));
    assert!(budget.try_withdraw(RETRY, at_millis(2_000)));
}

#[test]
fn the_floor_comes_in_under_a_clock_that_began_long_ago() {
    let budget = RetryBudget::default();
    let now = Time::from_nanos(1_800_000_000_000_000_000);
    while budget.try_withdraw(RETRY, now) {}
    let later = now + Duration::from_secs(3);
    assert!(budget.tokens(now) < 1.0);
    assert!((3.0..4.0).contains(&budget.tokens(later)));
}

#[test]
fn settings_out_of_range_are_cut_and_not_a_number_is_zero() {
    let none = Settings { ratio: f64::NAN, floor_per_second: f64::NAN, burst: 0 };
    let budget = RetryBudget::new(none);
    budget.deposit(at_millis(5_000));
    assert!(!budget.try_withdraw(RETRY, at_millis(10_000)));

    let most = Settings { ratio: 1e9, floor_per_second: f64::INFINITY, burst: u32::MAX };
    let budget = RetryBudget::new(most);
    assert!((budget.tokens(Time::ZERO) - 60_000.0).abs() < f64::EPSILON);
}

#[derive(Clone, Debug)]
enum Step {
    Deposit,
    Withdraw(Cost),
    Refund(Cost),
    Wait(u64),
}

/// The same bucket, by one who counts tick by tick.
struct Naive {
    per_call: u32,
    per_tick: u32,
    burst: u32,
    level: u32,
    millis: u64,
}

impl Naive {
    fn add(&mut self, milli: u32) {
        self.level = (self.level + milli).min(self.burst);
    }

    fn wait(&mut self, millis: u64) {
        for _ in 0..millis {
            self.millis += 1;
            if self.millis.is_multiple_of(100) {
                self.add(self.per_tick);
            }
        }
    }

    fn withdraw(&mut self, cost: u32) -> bool {
        let enough = cost <= self.level;
        if enough {
            self.level -= cost;
        }
        enough
    }
}

fn step() -> impl Strategy<Value = Step> {
    let cost = || prop_oneof![Just(RETRY), Just(AFTER_TIMEOUT), Just(AFTER_TIMEOUT.within(1))];
    prop_oneof![
        4 => Just(Step::Deposit),
        3 => cost().prop_map(Step::Withdraw),
        1 => cost().prop_map(Step::Refund),
        2 => (0_u64..3_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_budget_is_that_of_one_who_counts_tick_by_tick(
        ratio in 0_u32..=1_000,
        floor in 0_u32..=500,
        burst in 0_u32..=20,
        steps in prop::collection::vec(step(), 0..100),
    ) {
        let budget = RetryBudget::new(Settings {
            ratio: f64::from(ratio) / 1_000.0,
            floor_per_second: f64::from(floor) / 100.0,
            burst,
        });
        let burst = burst * 1_000;
        let mut naive = Naive { per_call: ratio, per_tick: floor, burst, level: burst, millis: 0 };
        for step in steps {
            let now = at_millis(naive.millis);
            match step {
                Step::Deposit => { budget.deposit(now); naive.add(naive.per_call); }
                Step::Withdraw(cost) => {
                    prop_assert_eq!(budget.try_withdraw(cost, now), naive.withdraw(cost.0));
                }
                Step::Refund(cost) => { budget.refund(cost); naive.add(cost.0); }
                Step::Wait(millis) => naive.wait(millis),
            }
            prop_assert_eq!(budget.bucket.level(at_millis(naive.millis)), naive.level);
        }
    }
}
