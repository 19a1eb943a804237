//! A call on its way to the endpoint that was chosen for it.

use std::sync::Arc;

use super::member::Member;
use super::tried::EndpointId;
use super::vitals::Call;
use crate::core::clock::Time;
use crate::core::outcome::Verdict;
use crate::net::Address;

/// An endpoint that was chosen for one attempt, which counts as in flight there until
/// this is settled or dropped.
///
/// To drop it is to say that the attempt was given up: nothing can be learned but that
/// it would have taken longer.
#[must_use = "the attempt counts as given up when this is dropped"]
#[derive(Debug)]
pub struct Picked<C> {
    member: Arc<Member<C>>,
    call: Call,
    settled: bool,
}

impl<C> Picked<C> {
    pub(super) fn begin(member: Arc<Member<C>>, now: Time) -> Self {
        let call = member.vitals.begin(false, now);
        Self { member, call, settled: false }
    }

    /// The attempt proves whether an endpoint that had failed is well again.
    pub(super) fn begin_probe(member: Arc<Member<C>>, now: Time) -> Self {
        let call = member.vitals.begin(true, now);
        Self { member, call, settled: false }
    }

    pub fn endpoint(&self) -> &C {
        &self.member.candidate
    }

    pub fn address(&self) -> &Address {
        &self.member.address
    }

    pub fn id(&self) -> EndpointId {
        self.member.vitals.id()
    }

    /// Whether this attempt is the one that proves whether the endpoint, which had
    /// failed, is well again.
    pub fn is_probe(&self) -> bool {
        self.call.is_probe()
    }

    /// The answer has begun: the time until here is the latency of the endpoint, and
    /// not that until the end, which for a stream says nothing. To be called for
    /// streams; the answers of unary calls are begun and done at once.
    pub fn answered(&mut self, now: Time) {
        self.member.vitals.answered(&mut self.call, now);
    }

    /// The attempt ended.
    pub fn settle(mut self, verdict: &Verdict, now: Time) {
        self.settled = true;
        self.member.vitals.settle(&self.call, verdict, now);
    }
}

impl<C> Drop for Picked<C> {
    fn drop(&mut self) {
        if !self.settled {
            let now = self.member.vitals.now();
            self.member.vitals.settle(&self.call, &Verdict::IGNORE, now);
        }
    }
}
