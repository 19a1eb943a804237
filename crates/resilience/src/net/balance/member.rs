//! The endpoints that a balancer has at one time.

use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::vitals::Vitals;
use crate::core::clock::Time;
use crate::net::ewma::Tick;
use crate::net::{Address, subset};

/// One endpoint.
#[derive(Debug)]
pub(super) struct Member<C> {
    pub(super) vitals: Vitals,
    pub(super) candidate: C,
    pub(super) address: Address,
}

/// All of them; a new one is made when one comes or goes.
#[derive(Debug)]
pub(super) struct Members<C> {
    /// Those of the own zone come first.
    pub(super) all: Box<[Arc<Member<C>>]>,
    /// How many are in the own zone.
    pub(super) local: usize,
}

impl<C> Member<C> {
    /// `latency` is that of its peers, if it has any.
    pub(super) fn new(
        address: &Address,
        candidate: C,
        book: &Arc<Book>,
        latency: Option<Duration>,
        now: Time,
    ) -> Self {
        let name = address.socket.to_string().into();
        Self {
            vitals: Vitals::new(name, Arc::clone(book), latency, now),
            candidate,
            address: address.clone(),
        }
    }
}

impl<C> Members<C> {
    pub(super) fn new(mut all: Vec<Arc<Member<C>>>, zone: Option<&str>) -> Self {
        all.sort_by_key(|member| !subset::is_local(&member.address, zone));
        let local = all.partition_point(|member| subset::is_local(&member.address, zone));
        Self { all: all.into(), local }
    }

    /// The latency of the endpoint in the middle; `None` if there is none.
    pub(super) fn typical_latency(&self, now: Time) -> Option<Duration> {
        let now = Tick::at(now);
        let mut latencies: Vec<f32> =
            self.all.iter().map(|member| member.vitals.latency(now)).collect();
        latencies.sort_by(f32::total_cmp);
        Duration::try_from_secs_f32(*latencies.get(latencies.len() / 2)?).ok()
    }
}

impl<C> Default for Members<C> {
    fn default() -> Self {
        Self { all: Box::default(), local: 0 }
    }
}
