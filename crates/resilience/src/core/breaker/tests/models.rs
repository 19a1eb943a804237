//! Every way in which threads can come between each other, as far as loom tells them
//! apart: the same state machine on simulated atomics.

mod simulated;

use self::simulated::Simulated;
use super::super::Rejected;
use super::super::machine::{Admission, Machine, Note};
use super::super::window::{Kind, Totals, Window};
use super::*;

/// A machine, and what it gave its callers to tell. The latter is in real memory: the
/// model needs not think about it.
struct Model {
    machine: Machine<Simulated>,
    told: Mutex<Vec<Note>>,
    outstanding: AtomicU64,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let machine = Machine::new(settings, Arc::new(Random::seeded(1)), 1);
        Self { machine, told: Mutex::default(), outstanding: AtomicU64::new(0) }
    }

    fn admit(&self, now: Time) -> Result<Admission, Rejected> {
        let word = if let Some(word) = self.machine.admit_at_once() {
            word
        } else {
            let (word, note) = self.machine.admit(now);
            self.told.lock().unwrap().extend(note);
            word?
        };
        Ok(self.machine.admission(word, now))
    }

    #[expect(clippy::needless_pass_by_value, reason = "an admission is settled only once")]
    fn settle(&self, admission: Admission, verdict: &Verdict, now: Time) {
        if !self.machine.settle_at_once(&admission, verdict, now) {
            let note = self.machine.settle(&admission, verdict, now);
            self.told.lock().unwrap().extend(note);
        }
    }

    fn changes(&self) -> Vec<(State, State, Reason)> {
        let change = |note: &Note| match note {
            Note::Changed(change) => Some((change.from, change.to, change.reason)),
            Note::WouldOpen(_) | Note::Stale => None,
        };
        self.told.lock().unwrap().iter().filter_map(change).collect()
    }

    fn fail_twice(&self) {
        for admission in [(); 2].map(|()| self.admit(Time::ZERO).unwrap()) {
            self.settle(admission, &UNAVAILABLE, Time::ZERO);
        }
    }

    /// Takes a probe if it may, and says how it went.
    fn probe(&self, limit: u64, verdict: &Verdict, now: Time) -> bool {
        let Ok(admission) = self.admit(now) else { return false };
        if admission.probe_of().is_some() {
            let others = self.outstanding.fetch_add(1, Ordering::Relaxed);
            assert!(others < limit, "more than {limit} probes at once");
            // Time for the others to look.
            loom::thread::yield_now();
            self.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
        self.settle(admission, verdict, now);
        true
    }
}

/// Runs all on threads at once, the last one on this.
fn at_once<const N: usize>(work: [Box<dyn FnOnce() + Send>; N]) {
    let mut work = Vec::from(work);
    let last = work.pop().unwrap();
    let threads: Vec<_> = work.into_iter().map(loom::thread::spawn).collect();
    last();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn two_calls_open() -> Settings {
    let settings = Settings { minimum_calls: 2, failure_rate: Some(1.0), ..Settings::default() };
    Settings { consecutive_failures: None, slow: Some(SECOND), probes: 1, ..settings }
}

/// Behaviour 16.
#[test]
fn outcomes_that_use_a_bucket_again_at_once_are_all_counted() {
    let [old, new] = [0, 10].map(|second| Time::ZERO + second * SECOND);
    for (times, counted) in [([new, new], 2), ([new, old], 1)] {
        loom::model(move || {
            let window = Arc::new(Window::<Simulated>::new(10 * SECOND, 1));
            assert!(window.add(0, Kind::Good, old, || true));
            let add = |now| {
                let window = Arc::clone(&window);
                Box::new(move || assert!(window.add(0, Kind::Good, now, || true))) as _
            };
            at_once(times.map(add));
            // A late one is out of the window, however it came in between.
            assert_eq!(window.totals(0, new).calls, counted);
        });
    }
}

/// Behaviour 16.
#[test]
fn of_two_outcomes_that_are_enough_together_exactly_one_opens() {
    loom::model(|| {
        let model = Arc::new(Model::new(two_calls_open()));
        // A slow failure is counted in another word than one that is not.
        let fail = |now| {
            let model = Arc::clone(&model);
            let admission = model.admit(Time::ZERO).unwrap();
            Box::new(move || model.settle(admission, &UNAVAILABLE, now)) as _
        };
        at_once([fail(Time::ZERO), fail(Time::ZERO + SECOND)]);
        assert_eq!(model.changes(), [(State::Closed, State::Open, Reason::FailureRate)]);
        assert_eq!(model.machine.generation(), 1);
    });
}

/// Behaviour 16.
#[test]
fn of_two_failures_that_end_a_row_exactly_one_opens() {
    loom::model(|| {
        let settings = Settings { consecutive_failures: Some(2), ..Settings::default() };
        let model = Arc::new(Model::new(settings));
        let fail = || {
            let model = Arc::clone(&model);
            let admission = model.admit(Time::ZERO).unwrap();
            Box::new(move || model.settle(admission, &UNAVAILABLE, Time::ZERO)) as _
        };
        at_once([fail(), fail()]);
        assert_eq!(model.changes(), [(State::Closed, State::Open, Reason::Consecutive)]);
    });
}

/// Behaviour 16.
#[test]
fn a_success_is_before_or_after_each_failure() {
    loom::model(|| {
        let settings = Settings { consecutive_failures: Some(3), ..Settings::default() };
        let model = Arc::new(Model::new(settings));
        let settle = |verdict: Verdict| {
            let model = Arc::clone(&model);
            let admission = model.admit(Time::ZERO).unwrap();
            Box::new(move || model.settle(admission, &verdict, Time::ZERO)) as _
        };
        model.settle(model.admit(Time::ZERO).unwrap(), &UNAVAILABLE, Time::ZERO);
        at_once([settle(Verdict::SUCCESS), settle(UNAVAILABLE)]);
        let totals = model.machine.totals(Time::ZERO);
        assert_eq!(totals, Totals { calls: 3, failures: 2, slow: 0 });
        assert!(model.machine.consecutive_failures() <= 1);
        assert_eq!(model.changes(), []);
    });
}

/// Behaviour 16.
#[test]
fn an_outcome_is_counted_in_its_own_generation_or_is_stale() {
    // In a bucket that was never used, and in one that counts another generation.
    for earlier in [0, 1] {
        loom::model(move || {
            let now = Time::ZERO + 15 * SECOND;
            let model = Arc::new(Model::new(Settings::default()));
            let call = move |model: &Model| {
                let admission = model.admit(now).unwrap();
                model.settle(admission, &Verdict::SUCCESS, now);
            };
            (0..earlier).for_each(|_| call(&model));
            let [late, other] = [(); 2].map(|()| Arc::clone(&model));
            let admission = model.admit(now).unwrap();
            at_once([
                Box::new(move || late.settle(admission, &Verdict::SUCCESS, now)),
                Box::new(move || {
                    other.machine.set_mode(Mode::MetricsOnly, now).unwrap();
                    call(&other);
                }),
            ]);
            assert_eq!(model.machine.totals(now).calls, 1, "that of the new generation");
            assert!(model.machine.stale_outcomes() <= 1);
        });
    }
}

/// Behaviour 16.
#[test]
fn one_probe_at_a_time_and_one_event_for_each_transition() {
    for (verdicts, ends) in [
        ([Verdict::SUCCESS, Verdict::SUCCESS], (State::HalfOpen, State::Closed, Reason::Recovered)),
        ([UNAVAILABLE, UNAVAILABLE], (State::HalfOpen, State::Open, Reason::ProbeFailed)),
    ] {
        loom::model(move || {
            let model = Arc::new(Model::new(two_calls_open()));
            model.fail_twice();
            let now = Time::ZERO + SECOND;
            let probe = |verdict: Verdict| {
                let model = Arc::clone(&model);
                Box::new(move || {
                    model.probe(1, &verdict, now);
                }) as _
            };
            at_once(verdicts.map(probe));
            let opened = (State::Closed, State::Open, Reason::FailureRate);
            let waited = (State::Open, State::HalfOpen, Reason::WaitOver);
            assert_eq!(model.changes(), [opened, waited, ends]);
            assert_eq!(model.machine.generation(), 3);
        });
    }
}

/// Behaviour 16.
#[test]
fn two_that_find_a_lost_probe_open_once() {
    loom::model(|| {
        let model = Arc::new(Model::new(two_calls_open()));
        model.fail_twice();
        let lost = model.admit(Time::ZERO + SECOND).unwrap();
        let now = Time::ZERO + 11 * SECOND;
        let [asks, ends] = [(); 2].map(|()| Arc::clone(&model));
        at_once([
            Box::new(move || assert!(asks.admit(now).is_err())),
            Box::new(move || ends.settle(lost, &Verdict::SUCCESS, now)),
        ]);
        let again = (State::HalfOpen, State::Open, Reason::ProbeLost);
        assert_eq!(model.changes()[2..], [again]);
        assert_eq!(model.machine.generation(), 3);
    });
}

#[test]
fn who_sees_that_it_closed_sees_when() {
    loom::model(|| {
        let model = Arc::new(Model::new(two_calls_open()));
        model.fail_twice();
        let now = Time::ZERO + 10 * SECOND;
        let probe = model.admit(now).unwrap();
        let [asks, ends] = [(); 2].map(|()| Arc::clone(&model));
        at_once([
            Box::new(move || drop(asks.admit(now))),
            Box::new(move || ends.settle(probe, &Verdict::SUCCESS, now)),
        ]);
        // Who takes it for closed since the beginning ends the ramp.
        assert_eq!(model.machine.ramp_share(now), Some(0.1));
    });
}

#[test]
fn the_end_of_a_ramp_does_not_undo_a_change() {
    loom::model(|| {
        let model = Arc::new(Model::new(Settings::default()));
        for mode in [Mode::ForcedOpen, Mode::Normal] {
            model.machine.set_mode(mode, Time::ZERO).unwrap();
        }
        let [asks, forces] = [(); 2].map(|()| Arc::clone(&model));
        let now = Time::ZERO + 5 * SECOND;
        at_once([
            Box::new(move || drop(asks.admit(now))),
            Box::new(move || assert!(forces.machine.set_mode(Mode::ForcedOpen, now).is_some())),
        ]);
        assert_eq!(model.machine.mode(), Mode::ForcedOpen);
        assert!(model.admit(now).is_err());
    });
}
