use super::*;
use crate::core::budget::{AFTER_TIMEOUT, RETRY, Settings};
use crate::core::random::Random;
use crate::core::simulation::{Agenda, at_millis};

const P95: Hedge = Hedge::AfterP95 { at_least: Duration::ZERO };

fn latency_of(millis: u64, samples: u64) -> Latency {
    let latency = Latency::default();
    for _ in 0..samples {
        latency.record(Duration::from_millis(millis), Time::ZERO);
    }
    latency
}

#[test]
fn a_percentile_that_is_not_known_yet_hedges_nothing() {
    assert_eq!(delay(P95, &latency_of(50, 99), Time::ZERO), None);
    let known = delay(P95, &latency_of(50, 100), Time::ZERO).unwrap();
    assert!(known.abs_diff(Duration::from_millis(50)) < Duration::from_micros(500), "{known:?}");
}

#[test]
fn no_hedge_by_percentile_is_sent_before_either_bound() {
    let fast = latency_of(1, 100);
    assert_eq!(delay(P95, &fast, Time::ZERO), Some(LEAST_DELAY));
    let at_least = Duration::from_millis(30);
    assert_eq!(delay(Hedge::AfterP95 { at_least }, &fast, Time::ZERO), Some(at_least));
}

#[test]
fn a_fixed_delay_needs_no_samples_and_never_is_none() {
    let fixed = Duration::from_millis(2);
    assert_eq!(delay(Hedge::After(fixed), &Latency::default(), Time::ZERO), Some(fixed));
    assert_eq!(delay(Hedge::Never, &latency_of(50, 100), Time::ZERO), None);
}

#[test]
fn of_the_first_hundred_calls_five_are_hedged() {
    let (hedges, retries) = (HedgeBudget::default(), RetryBudget::default());
    let is_hedged = |call: u64| {
        hedges.deposit(at_millis(call));
        hedges.try_hedge(&retries, RETRY, at_millis(call))
    };
    assert_eq!((0..100).filter(|call| is_hedged(*call)).count(), 5);
}

#[test]
fn a_hedge_takes_from_both_budgets_or_from_neither() {
    let (hedges, now) = (HedgeBudget::new(1.0), Time::ZERO);
    hedges.deposit(now);
    let empty = RetryBudget::new(Settings { burst: 1, ..Settings::default() });
    assert!(!hedges.try_hedge(&empty, AFTER_TIMEOUT, now));
    assert_eq!(hedges.bucket.level(now), 1_000);

    let retries = RetryBudget::default();
    let left = || format!("{:.1}", retries.tokens(now));
    assert!(hedges.try_hedge(&retries, RETRY, now));
    assert_eq!((hedges.bucket.level(now), left()), (0, "9.0".to_owned()));
    assert!(!hedges.try_hedge(&retries, RETRY, now));
    assert_eq!(left(), "9.0");

    hedges.refund(&retries, RETRY);
    assert_eq!((hedges.bucket.level(now), left()), (1_000, "10.0".to_owned()));
}

#[derive(Clone, Copy)]
enum Happens {
    Call,
    HedgeDue { began: Time, answered: Time },
    Answer { took: Duration },
}

/// Calls at 1000 a second to a peer that takes ten times as long from [`SLOW_AT`] on.
/// `limited`: whether there is a bound to hedges.
struct System {
    limited: bool,
    random: Random,
    latency: Latency,
    hedges: HedgeBudget,
    retries: RetryBudget,
    agenda: Agenda<Happens>,
    /// By second.
    counts: Vec<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    calls: u64,
    hedges: u64,
}

const SLOW_AT: u64 = 20;
const SECONDS: u64 = 40;

impl System {
    fn run(limited: bool) -> Vec<Counts> {
        let mut agenda = Agenda::new();
        for call in 0..SECONDS * 1_000 {
            agenda.add(at_millis(call), Happens::Call);
        }
        let mut system = Self {
            limited,
            random: Random::seeded(33),
            latency: Latency::default(),
            hedges: HedgeBudget::default(),
            retries: RetryBudget::default(),
            agenda,
            counts: vec![Counts::default(); 50],
        };
        while let Some((now, happens)) = system.agenda.next() {
            system.step(now, happens);
        }
        system.counts
    }

    fn step(&mut self, now: Time, happens: Happens) {
        match happens {
            Happens::Call => self.call(now),
            Happens::HedgeDue { began, answered } => self.hedge(now, began, answered),
            Happens::Answer { took } => self.latency.record(took, now),
        }
    }

    fn call(&mut self, now: Time) {
        self.count(now).calls += 1;
        self.hedges.deposit(now);
        self.retries.deposit(now);
        let took = self.takes(now);
        match delay(P95, &self.latency, now) {
            Some(wait) if wait < took => {
                let answered = now + took;
                self.agenda.add(now + wait, Happens::HedgeDue { began: now, answered });
            }
            _ => self.agenda.add(now + took, Happens::Answer { took }),
        }
    }

    fn hedge(&mut self, now: Time, began: Time, answered: Time) {
        let mut first = answered;
        if !self.limited || self.hedges.try_hedge(&self.retries, RETRY, now) {
            self.count(now).hedges += 1;
            first = first.min(now + self.takes(now));
            if self.limited {
                let total = self.total(0);
                assert!(20 * total.hedges <= total.calls, "{total:?} at {now:?}");
            }
        }
        self.agenda.add(first, Happens::Answer { took: first.since(began) });
    }

    fn takes(&self, now: Time) -> Duration {
        let typical = if now < at_millis(SLOW_AT * 1_000) { 10 } else { 100 };
        Duration::from_millis(typical).mul_f64(0.5 - 0.5 * (1.0 - self.random.unit()).ln())
    }

    fn count(&mut self, now: Time) -> &mut Counts {
        let second = now.since(Time::ZERO).as_secs();
        &mut self.counts[usize::try_from(second).unwrap()]
    }

    fn total(&self, from: usize) -> Counts {
        total(&self.counts[from..])
    }
}

fn total(counts: &[Counts]) -> Counts {
    counts.iter().fold(Counts::default(), |sum, counts| Counts {
        calls: sum.calls + counts.calls,
        hedges: sum.hedges + counts.hedges,
    })
}

/// Behaviour 33.
#[test]
fn a_peer_that_gets_ten_times_slower_gets_hedges_for_a_twentieth_of_the_calls() {
    let slow = usize::try_from(SLOW_AT).unwrap();

    let unlimited = System::run(false);
    let first = unlimited[slow];
    assert!(first.calls < 5 * first.hedges, "the bound is needed: {first:?}");

    // At every hedge, the run itself sees to it that they are 5 % of the calls so far.
    let limited = System::run(true);
    let before = total(&limited[..slow]);
    assert!(before.calls < 50 * before.hedges, "hedges are sent at all: {before:?}");
    // Within one second, what was not used before may come on top.
    for second in &limited[slow..] {
        assert!(20 * second.hedges <= second.calls + 20 * 10, "{second:?}");
    }
    let after = total(&limited[slow..]);
    assert!(20 * after.hedges <= after.calls, "{after:?}");
}
