use std::sync::Arc;

use loom::sync::atomic::AtomicU64 as LoomU64;
use proptest::prelude::*;

use super::*;
use crate::core::simulation::at_millis;

mod keyed;

/// A bucket that holds time: it fills as time passes, and each call takes an interval.
struct Naive {
    interval: u64,
    most: u64,
    held: u64,
}

impl Naive {
    fn wait(&mut self, nanos: u64) {
        self.held = (self.held + nanos).min(self.most);
    }

    fn check(&mut self) -> Result<(), Duration> {
        match self.held.checked_sub(self.interval) {
            Some(rest) => {
                self.held = rest;
                Ok(())
            }
            None => Err(Duration::from_nanos(self.interval - self.held)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_rate_is_exactly_that_of_a_bucket_that_holds_time(
        interval in 1_u64..=1_000_000_000,
        burst in 1_u32..=20,
        began in 0_u64..=1_000_000_000_000,
        waits in prop::collection::vec(0_u64..=2_000_000, 0..200),
    ) {
        #[expect(clippy::cast_precision_loss, reason = "the interval has ten digits")]
        let gcra = Gcra::new(1e9 / interval as f64, burst);
        let most = interval * u64::from(burst);
        let mut naive = Naive { interval, most, held: most };
        let mut now = Time::from_nanos(began);
        for wait in waits {
            // In millionths of an interval.
            let wait = u64::try_from(u128::from(wait) * u128::from(interval) / 1_000_000).unwrap();
            now = now + Duration::from_nanos(wait);
            naive.wait(wait);
            prop_assert_eq!(gcra.check(now), naive.check());
        }
    }

    #[test]
    fn the_time_to_wait_is_exact_to_the_nanosecond(
        interval in 2_u64..=1_000_000_000,
        burst in 1_u32..=20,
        late in 0_u64..=2_000_000_000,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "the interval has ten digits")]
        let gcra = Gcra::new(1e9 / interval as f64, burst);
        let began = Time::from_nanos(late);
        let refused = (0..=burst).find_map(|_| gcra.check(began).err()).unwrap();
        let allowed = began + refused;
        let before = Time::from_nanos(allowed.as_nanos() - 1);
        prop_assert_eq!(gcra.check(before), Err(Duration::from_nanos(1)));
        prop_assert_eq!(gcra.check(allowed), Ok(()));
        prop_assert_eq!(gcra.check(allowed), Err(Duration::from_nanos(interval)));
    }
}

#[test]
fn of_two_who_race_for_one_place_exactly_one_gets_it() {
    loom::model(|| {
        let pace = Pace::new(10.0, 1);
        let due = Arc::new(LoomU64::new(0));
        let racers = [(); 2].map(|()| {
            let due = due.clone();
            loom::thread::spawn(move || pace.check(&*due, at_millis(1)))
        });
        let mut answers = racers.map(|racer| racer.join().unwrap());
        answers.sort();
        assert_eq!(answers, [Ok(()), Err(Duration::from_millis(100))]);
    });
}

#[test]
fn a_burst_comes_after_a_pause_and_then_the_pace() {
    let gcra = Gcra::new(10.0, 3);
    let passed = |from: u64, until: u64| {
        (from..until).filter(|millis| gcra.check(at_millis(*millis)).is_ok()).count()
    };
    assert_eq!(passed(0, 100), 3);
    assert_eq!(passed(100, 1_100), 10);
    assert_eq!(passed(5_000, 5_100), 3);
}

#[test]
fn a_caller_whose_clock_is_behind_is_not_let_through_twice() {
    let gcra = Gcra::new(1.0, 1);
    assert_eq!(gcra.check(at_millis(5_000)), Ok(()));
    assert_eq!(gcra.check(at_millis(4_000)), Err(Duration::from_secs(2)));
}

#[test]
fn a_rate_that_is_not_one_lets_the_least_through() {
    for per_second in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        let gcra = Gcra::new(per_second, u32::MAX);
        let passed = (0..1_000).filter(|_| gcra.check(Time::ZERO).is_ok()).count();
        assert_eq!(passed, 5, "{per_second}");
    }
    let gcra = Gcra::new(f64::INFINITY, 1);
    assert_eq!(gcra.check(Time::ZERO), Ok(()));
    assert_eq!(gcra.check(Time::ZERO), Err(Duration::from_nanos(1)));
}
