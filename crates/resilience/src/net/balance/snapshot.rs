//! A balancer at one moment, for people.

use serde::Serialize;

use super::Candidate;
use super::book::Book;
use super::member::{Member, Members};
use super::standing::Phase;
use crate::core::clock::{Time, nanos};
use crate::net::ewma::Tick;

/// The endpoints of one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    pub target: String,
    /// Whether health is not looked at, because too few are healthy.
    pub panicking: bool,
    /// All that are in use.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointSnapshot {
    pub address: String,
    pub zone: Option<String>,
    /// `healthy`, `suspect` (it would be left out, but too many are), or `ejected`.
    pub state: &'static str,
    /// Whether a call can be sent there soon.
    pub available: bool,
    /// Calls that have not ended.
    pub inflight: u32,
    /// The recent latency in milliseconds, slow answers counted more.
    pub latency_ms: f64,
    /// Of recent calls, with ten successes added; in `0.0..1.0`.
    pub failure_share: f32,
    /// How many milliseconds it is still left out, or suspected, before it may prove
    /// itself.
    pub wait_ms: Option<u64>,
}

impl Snapshot {
    pub(super) fn of<C: Candidate>(book: &Book, members: &Members<C>, now: Time) -> Self {
        Self {
            target: book.target().to_string(),
            panicking: book.is_panicking(),
            endpoints: members.all.iter().map(|member| EndpointSnapshot::of(member, now)).collect(),
        }
    }
}

impl EndpointSnapshot {
    fn of<C: Candidate>(member: &Member<C>, now: Time) -> Self {
        let Member { vitals, candidate, address } = member;
        let standing = vitals.standing();
        let (state, healthy) = match standing.read().phase {
            Phase::Healthy => ("healthy", true),
            Phase::Suspect => ("suspect", false),
            Phase::Ejected => ("ejected", false),
            Phase::Removed => ("removed", true),
        };
        Self {
            address: vitals.name().to_string(),
            zone: address.zone.as_deref().map(str::to_owned),
            state,
            available: candidate.is_available(),
            inflight: vitals.inflight(),
            latency_ms: f64::from(vitals.latency(Tick::at(now))) * 1000.0,
            failure_share: vitals.recent(Tick::at(now)).failure_share(),
            wait_ms: (!healthy).then(|| nanos(standing.until().since(now)) / 1_000_000),
        }
    }
}
