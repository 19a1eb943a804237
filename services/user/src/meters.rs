//! What is counted of accounts.

use trellis_telemetry::metrics::{Counter, Definition, Metrics, Unit};

const SIGN_UPS: Definition<Counter, 0> =
    Counter::define("trellis.shop.sign_ups", Unit::of("{user}"), "Accounts that were made.", []);
const SIGN_INS: Definition<Counter, 1> = Counter::define(
    "trellis.shop.sign_ins",
    Unit::of("{attempt}"),
    "Attempts to sign in; those that were throttled count as refused.",
    ["outcome"],
);

#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) sign_ups: Counter,
    accepted: Counter,
    refused: Counter,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let sign_in = |outcome| metrics.get(&SIGN_INS, [outcome]);
        let (accepted, refused) = (sign_in("accepted"), sign_in("refused"));
        Self { sign_ups: metrics.get(&SIGN_UPS, []), accepted, refused }
    }

    pub(crate) fn sign_in(&self, is_accepted: bool) {
        if is_accepted { &self.accepted } else { &self.refused }.increment();
    }
}
