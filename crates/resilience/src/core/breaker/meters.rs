//! What a breaker counts.

use super::machine::Change;
use super::{Reason, State};
use crate::observe::{Counter, Gauge, Label, Metrics};

/// The handles, made once.
#[derive(Debug)]
pub(super) struct Meters {
    transitions: Vec<((State, State, Reason), Counter)>,
    state: Gauge,
    pub(super) stale: Counter,
    pub(super) rejections: Counter,
}

/// All that can happen.
const TRANSITIONS: [(State, State, Reason); 11] = {
    use Reason::{
        Consecutive, FailureRate, Forced, ProbeFailed, ProbeLost, Recovered, SlowRate, WaitOver,
    };
    use State::{Closed, HalfOpen, Open};
    [
        (Closed, Open, Consecutive),
        (Closed, Open, FailureRate),
        (Closed, Open, SlowRate),
        (Closed, Open, Forced),
        (Open, HalfOpen, WaitOver),
        (Open, Closed, Forced),
        (HalfOpen, Closed, Recovered),
        (HalfOpen, Closed, Forced),
        (HalfOpen, Open, ProbeFailed),
        (HalfOpen, Open, ProbeLost),
        (HalfOpen, Open, Forced),
    ]
};

impl Meters {
    pub(super) fn new(name: &str, metrics: &dyn Metrics) -> Self {
        let label = |key, value: &str| -> Label { (key, value.to_owned()) };
        let breaker = label("breaker", name);
        let transition = |(from, to, reason): (State, State, Reason)| {
            let labels = [
                breaker.clone(),
                label("from", from.as_str()),
                label("to", to.as_str()),
                label("reason", reason.as_str()),
            ];
            let counter = metrics.counter("resilience_breaker_transitions_total", &labels);
            ((from, to, reason), counter)
        };
        let rejections = [label("target", name), label("stage", "breaker")];
        let meters = Self {
            transitions: TRANSITIONS.into_iter().map(transition).collect(),
            state: metrics.gauge("resilience_breaker_state", std::slice::from_ref(&breaker)),
            stale: metrics
                .counter("resilience_breaker_stale_outcomes_total", std::slice::from_ref(&breaker)),
            rejections: metrics.counter("resilience_rejections_total", &rejections),
        };
        meters.state.set(level(State::Closed));
        meters
    }

    /// `state` says what it is now. It is asked again after it was shown: of several
    /// threads that show their changes at once, the last one shows the last state.
    pub(super) fn changed(&self, change: &Change, state: impl Fn() -> State) {
        let key = (change.from, change.to, change.reason);
        if let Some((_, counter)) = self.transitions.iter().find(|(known, _)| *known == key) {
            counter.increment();
        }
        let mut shown = state();
        loop {
            self.state.set(level(shown));
            let now = state();
            if now == shown {
                return;
            }
            shown = now;
        }
    }
}

fn level(state: State) -> f64 {
    match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::observe::{GaugeSink, Histogram, NoMetrics};

    #[derive(Clone, Debug, Default)]
    struct Shown(Arc<Mutex<Vec<f64>>>);

    impl GaugeSink for Shown {
        fn set(&self, value: f64) {
            self.0.lock().unwrap().push(value);
        }
    }

    impl Metrics for Shown {
        fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
            NoMetrics.counter(name, labels)
        }

        fn gauge(&self, _: &'static str, _: &[Label]) -> Gauge {
            Gauge::new(Arc::new(self.clone()))
        }

        fn histogram(&self, name: &'static str, labels: &[Label]) -> Histogram {
            NoMetrics.histogram(name, labels)
        }
    }

    #[test]
    fn a_change_that_comes_in_between_is_shown_last() {
        let shown = Shown::default();
        let meters = Meters::new("inventory", &shown);
        // It opened, and while that is shown another thread has let a probe through.
        let states = RefCell::new(vec![State::HalfOpen, State::HalfOpen, State::Open]);
        let (from, to, reason) = TRANSITIONS[0];
        let change = Change { from, to, reason, wait: None };
        meters.changed(&change, || states.borrow_mut().pop().unwrap());
        assert_eq!(*shown.0.lock().unwrap(), [0.0, 2.0, 1.0]);
    }
}
