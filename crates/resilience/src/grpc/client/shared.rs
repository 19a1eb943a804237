//! What all clones of a client, and all of its calls, share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use super::meter::TargetMeter;
use super::method::Methods;
use super::peer::Peer;
use super::retry::Cause;
use crate::chaos::Chaos;
use crate::core::breaker::Breaker;
use crate::core::budget::RetryBudget;
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::core::hedge::HedgeBudget;
use crate::core::limit::Bulkhead;
use crate::core::throttle::AdaptiveThrottle;
use crate::observe::Event;

/// Puts something into the headers of every attempt.
pub(super) type Inject = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// Apart from the count of references before it, which every call writes.
#[repr(align(128))]
pub(super) struct Shared<P> {
    pub(super) target: Arc<str>,
    pub(super) peer: P,
    pub(super) environment: Environment,
    pub(super) breaker: Breaker,
    pub(super) budget: RetryBudget,
    pub(super) hedges: HedgeBudget,
    pub(super) throttle: AdaptiveThrottle,
    pub(super) bulkhead: Bulkhead,
    pub(super) methods: Methods,
    pub(super) meter: TargetMeter,
    pub(super) chaos: Option<Arc<Chaos>>,
    pub(super) inject: Option<Inject>,
    /// Whether first attempts are spans, too.
    pub(super) traces_first: bool,
    /// In bytes.
    pub(super) replay_limit: usize,
    /// Whether the last call that wanted to be tried again was kept from it for the
    /// sake of the peer.
    pub(super) is_holding_back: AtomicBool,
}

impl<P: Peer> Shared<P> {
    pub(super) fn now(&self) -> Time {
        self.environment.clock.now()
    }

    /// Notes that a failed call is not tried again. The listener hears of the first
    /// such call, and then of the first after one that was.
    pub(super) fn suppressed(&self, cause: Cause) {
        self.meter.suppressed(cause);
        let spares_the_peer = matches!(cause, Cause::Budget | Cause::Throttle | Cause::Breaker);
        // It decides about nothing but who tells it, so it needs no order.
        if spares_the_peer && !self.is_holding_back.swap(true, Ordering::Relaxed) {
            let (target, cause) = (Arc::clone(&self.target), cause.name());
            self.environment.listener.on_event(&Event::RetrySuppressed { target, cause });
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("target", &self.target)
            .field("peer", &self.peer)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
