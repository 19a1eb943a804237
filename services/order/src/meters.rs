//! What is counted of carts, orders and sagas.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use trellis_chassis::Clock;
use trellis_telemetry::metrics::{Counter, Definition, Gauge, Histogram, Metrics, Unit};

use crate::domain::{Order, State};
use crate::saga::{Kind, Saga, Step};
use crate::store::Backlog;

const CARTS: Definition<Counter, 0> = Counter::define(
    "trellis.shop.carts",
    Unit::of("{cart}"),
    "Empty carts that something was put into.",
    [],
);
const CHECKOUTS: Definition<Counter, 0> = Counter::define(
    "trellis.shop.checkouts",
    Unit::of("{order}"),
    "Orders that were accepted.",
    [],
);
const ORDERS: Definition<Counter, 2> = Counter::define(
    "trellis.shop.orders",
    Unit::of("{order}"),
    "Orders that came to an end, and why it was not a sale.",
    ["outcome", "reason"],
);
const REVENUE: Definition<Counter, 1> = Counter::define(
    "trellis.shop.revenue.minor_units",
    Unit::of("{minor_unit}"),
    "What confirmed orders cost, such as in pence.",
    ["currency"],
);
const REFUNDS: Definition<Counter, 1> = Counter::define(
    "trellis.shop.refunds.minor_units",
    Unit::of("{minor_unit}"),
    "What was given back of that.",
    ["currency"],
);
const SAGA: Definition<Histogram, 2> = Histogram::seconds(
    "trellis.saga.duration",
    "From the beginning of a saga to its end, pauses included.",
    ["kind", "outcome"],
);
const STEP: Definition<Histogram, 2> = Histogram::seconds(
    "trellis.saga.step.duration",
    "How long a step took, each time that it was taken.",
    ["step", "outcome"],
);
const RECOVERED: Definition<Counter, 0> = Counter::define(
    "trellis.saga.recovered",
    Unit::of("{saga}"),
    "Sagas that were taken up again after a pause or a crash.",
    [],
);
const OPEN: Definition<Gauge, 0> =
    Gauge::define("trellis.saga.open", Unit::of("{saga}"), "Sagas that have not ended.", []);
const OLDEST: Definition<Gauge, 0> = Gauge::define(
    "trellis.saga.oldest_age",
    Unit::SECONDS,
    "How long ago the oldest of these began; 0 if there is none.",
    [],
);
const NEEDS_OPERATOR: Definition<Gauge, 0> = Gauge::define(
    "trellis.saga.needs_operator",
    Unit::of("{saga}"),
    "Sagas that gave up and wait for somebody to look at them.",
    [],
);

/// Counts. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Meters(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Metrics,
    carts: Counter,
    checkouts: Counter,
    recovered: Counter,
    /// Kept up to date by the recovery, and read by whoever reads the metrics.
    backlog: Arc<Mutex<Backlog>>,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, clock: &Arc<dyn Clock>) -> Self {
        let (carts, checkouts) = (metrics.get(&CARTS, []), metrics.get(&CHECKOUTS, []));
        let recovered = metrics.get(&RECOVERED, []);
        for outcome in ["confirmed", "cancelled", "refunded"] {
            metrics.get(&ORDERS, [outcome, ""]);
        }
        let backlog = Arc::new(Mutex::new(Backlog::default()));
        show(metrics, &backlog, clock);
        let metrics = metrics.clone();
        Self(Arc::new(Shared { metrics, carts, checkouts, recovered, backlog }))
    }

    pub(crate) fn cart_begun(&self) {
        self.0.carts.increment();
    }

    pub(crate) fn order_accepted(&self) {
        self.0.checkouts.increment();
    }

    pub(crate) fn sagas_recovered(&self, count: usize) {
        self.0.recovered.add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn step(&self, step: Step, is_done: bool, took: Duration) {
        let outcome = if is_done { "done" } else { "trouble" };
        self.0.metrics.get(&STEP, [step.as_str(), outcome]).record_duration(took);
    }

    /// A saga has come to its end, and `order` with it.
    pub(crate) fn ended(&self, saga: &Saga, order: &Order, now: OffsetDateTime) {
        let metrics = &self.0.metrics;
        let (outcome, reason) = match order.state {
            // It is no end.
            State::Pending => return,
            State::Confirmed => ("confirmed", ""),
            State::Cancelled(reason) => ("cancelled", reason.as_str()),
            State::Refunded(reason) => ("refunded", reason.as_str()),
        };
        metrics.get(&ORDERS, [outcome, reason]).increment();
        let took = Duration::try_from(now - saga.create_time).unwrap_or_default();
        metrics.get(&SAGA, [saga.kind.as_str(), outcome]).record_duration(took);
        let money = match (saga.kind, order.state) {
            (Kind::Checkout, State::Confirmed) => &REVENUE,
            (_, State::Refunded(_)) => &REFUNDS,
            _ => return,
        };
        let total = order.total;
        let amount = metrics.get(money, [total.currency().as_str()]);
        amount.add(u64::try_from(total.minor_units()).unwrap_or_default());
    }

    pub(crate) fn backlog(&self, backlog: Backlog) {
        *self.0.backlog.lock().unwrap_or_else(PoisonError::into_inner) = backlog;
    }
}

/// The age goes on growing while nobody can look how old the oldest is.
fn show(metrics: &Metrics, backlog: &Arc<Mutex<Backlog>>, clock: &Arc<dyn Clock>) {
    let (backlog, clock) = (Arc::clone(backlog), Arc::clone(clock));
    let (open, oldest) = (metrics.get(&OPEN, []), metrics.get(&OLDEST, []));
    let needs_operator = metrics.get(&NEEDS_OPERATOR, []);
    metrics.before_reading(move || {
        let now = *backlog.lock().unwrap_or_else(PoisonError::into_inner);
        open.set_count(now.open);
        needs_operator.set_count(now.needs_operator);
        let age = now.oldest.map_or(0.0, |began| (clock.now() - began).as_seconds_f64());
        oldest.set(age.max(0.0));
    });
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_chassis::ManualClock;

    use super::*;

    #[test]
    fn the_age_of_the_oldest_saga_grows_also_while_nobody_can_count() {
        let manual = ManualClock::new(datetime!(2026-11-22 10:00 UTC));
        let (metrics, clock) = (Metrics::default(), Arc::new(manual.clone()) as Arc<dyn Clock>);
        let meters = Meters::new(&metrics, &clock);
        let age = |seconds: u64| {
            let line = format!("trellis_saga_oldest_age_seconds {seconds}\n");
            let text = metrics.text();
            assert!(text.contains(&line), "{line} is not in {text}");
        };
        age(0);

        meters.backlog(Backlog { open: 2, oldest: Some(clock.now()), needs_operator: 1 });
        manual.advance(Duration::from_mins(5));
        age(300);
        assert!(metrics.text().contains("trellis_saga_open 2\n"));
        assert!(metrics.text().contains("trellis_saga_needs_operator 1\n"));

        meters.backlog(Backlog::default());
        age(0);
    }
}
