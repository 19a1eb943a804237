//! A client as an operator sees it.

use serde::Serialize;
use serde_json::{Value, json};

use super::method::Method;
use super::peer::Peer;
use super::shared::Shared;
use crate::core::breaker::{self, Breaker};
use crate::core::clock::Time;
use crate::core::latency::Quantile;
use crate::registry::Inspect;

/// A client at one moment, for people to read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    pub target: String,
    pub breaker: breaker::Snapshot,
    pub inflight: usize,
    /// The calls that may be in flight.
    pub bulkhead: usize,
    /// What retries and hedges can be paid with; one costs one, or more.
    pub retry_tokens: f64,
    /// How likely the next call is refused to spare the peer, in `0.0..=1.0`.
    pub throttle_probability: f64,
    /// By their path, the unnamed ones last. Those that were not called lately say
    /// nothing about their latency.
    pub methods: Vec<MethodSnapshot>,
    /// Who takes the calls, if that is known.
    pub endpoints: Option<Value>,
}

/// A method of a client at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodSnapshot {
    pub path: &'static str,
    /// In milliseconds.
    pub timeout_ms: Option<u128>,
    pub attempts: u32,
    /// Of one successful attempt, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The same.
    pub p95_ms: Option<f64>,
}

impl<P: Peer> Shared<P> {
    pub(super) fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            target: self.target.to_string(),
            breaker: self.breaker.snapshot(now),
            inflight: self.bulkhead.inflight(),
            bulkhead: self.bulkhead.limit(),
            retry_tokens: self.budget.tokens(now),
            throttle_probability: self.throttle.probability(now),
            methods: self.methods.all().map(|method| MethodSnapshot::of(method, now)).collect(),
            endpoints: self.peer.snapshot(now),
        }
    }
}

impl MethodSnapshot {
    fn of(method: &Method, now: Time) -> Self {
        let millis = |quantile| {
            let latency = method.latency.quantile(quantile, now);
            latency.map(|latency| latency.as_secs_f64() * 1_000.0)
        };
        Self {
            path: method.path(),
            timeout_ms: method.policy.timeout.map(|timeout| timeout.as_millis()),
            attempts: method.policy.attempts,
            p50_ms: millis(Quantile::P50),
            p95_ms: millis(Quantile::P95),
        }
    }
}

impl<P: Peer> Inspect for Shared<P> {
    fn snapshot(&self, now: Time) -> Value {
        json!(Self::snapshot(self, now))
    }

    fn publish(&self, now: Time) {
        self.meter.tokens.set(self.budget.tokens(now));
        self.meter.throttle.set(self.throttle.probability(now));
        self.meter.in_flight.set_count(self.bulkhead.inflight());
        self.peer.publish();
    }

    fn breakers(&self) -> Vec<Breaker> {
        vec![self.breaker.clone()]
    }
}
