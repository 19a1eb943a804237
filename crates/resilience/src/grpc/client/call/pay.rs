//! What further attempts depend on, and what they cost.

use std::sync::atomic::Ordering;

use super::Call;
use crate::core::breaker::State;
use crate::core::budget::{Cost, RETRY};
use crate::core::clock::Time;
use crate::core::latency::Quantile;
use crate::core::outcome::Verdict;
use crate::grpc::client::peer::Peer;
use crate::grpc::client::retry::Question;
use crate::net::balance::Tried;

/// What has been paid, and from what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paid {
    Retry(Cost),
    Hedge(Cost),
}

impl<P: Peer> Call<P> {
    /// What decides about another attempt, after one that ended with `verdict`.
    pub(in crate::grpc::client) fn question(
        &self,
        verdict: Verdict,
        replayable: bool,
        tried: &Tried,
        now: Time,
    ) -> Question<'_> {
        let method = self.method();
        Question {
            policy: &method.policy,
            verdict,
            replayable,
            inbound: self.inbound,
            now,
            deadline: self.deadline,
            typical: method.latency.quantile(Quantile::P50, now),
            throttled: self.is_throttled(now),
            tripped: self.is_tripped(now) && self.shared.peer.has_other(tried) != Some(true),
        }
    }

    /// Pays for a retry that is not sent yet.
    pub(in crate::grpc::client) fn pay_for_retry(&mut self, cost: Cost, now: Time) -> bool {
        let shared = &self.shared;
        let granted = shared.budget.try_withdraw(cost, now);
        shared.meter.tokens.set(shared.budget.tokens(now));
        if granted {
            shared.is_holding_back.store(false, Ordering::Relaxed);
            self.paid = Some(Paid::Retry(cost));
        }
        granted
    }

    /// Pays for a hedge, if there may be one: not to a peer that is in trouble, and not
    /// to the one who has the call already.
    pub(in crate::grpc::client) fn pay_for_hedge(&mut self, tried: &Tried, now: Time) -> bool {
        let shared = &self.shared;
        let cost = RETRY.within(self.inbound.previous_attempts);
        let granted = self.inbound.retried_hops == 0
            && shared.peer.has_other(tried) != Some(false)
            && !self.is_throttled(now)
            && !self.is_tripped(now)
            && shared.hedges.try_hedge(&shared.budget, cost, now);
        if granted {
            self.paid = Some(Paid::Hedge(cost));
        }
        granted
    }

    pub(in crate::grpc::client) fn is_paid(&self) -> bool {
        self.paid.is_some()
    }

    /// The attempt that was paid for is sent.
    pub(in crate::grpc::client) fn spend(&mut self) {
        self.paid = None;
    }

    /// Gives back what was paid for an attempt that is not sent.
    pub(in crate::grpc::client) fn refund(&mut self) {
        match self.paid.take() {
            Some(Paid::Retry(cost)) => self.shared.budget.refund(cost),
            Some(Paid::Hedge(cost)) => self.shared.hedges.refund(&self.shared.budget, cost),
            None => {}
        }
    }

    fn is_throttled(&self, now: Time) -> bool {
        self.shared.throttle.probability(now) > 0.0
    }

    fn is_tripped(&self, now: Time) -> bool {
        self.shared.breaker.state(now) != State::Closed
    }
}
