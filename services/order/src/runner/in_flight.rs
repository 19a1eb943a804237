//! What sagas that are being run must hear from outside between two steps.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trellis_api::id::OrderId;

/// The sagas that this process is running.
#[derive(Clone, Default)]
pub(super) struct InFlight {
    running: Arc<Mutex<HashMap<OrderId, Arc<Signals>>>>,
}

/// What a running saga is told.
#[derive(Default)]
pub(super) struct Signals {
    cancel_requested: AtomicBool,
    lost: AtomicBool,
}

/// A running saga; it is forgotten with the drop.
pub(super) struct Entry {
    in_flight: InFlight,
    order_id: OrderId,
    signals: Arc<Signals>,
}

impl InFlight {
    pub(super) fn enter(&self, order_id: OrderId, cancel_requested: bool) -> Entry {
        let signals = Arc::<Signals>::default();
        if cancel_requested {
            signals.request_cancel();
        }
        self.running().insert(order_id, Arc::clone(&signals));
        Entry { in_flight: self.clone(), order_id, signals }
    }

    /// Tells the saga of an order, if it runs here, that its customer wants no sale.
    pub(super) fn request_cancel(&self, order_id: OrderId) {
        if let Some(signals) = self.running().get(&order_id) {
            signals.request_cancel();
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<OrderId, Arc<Signals>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signals {
    pub(super) fn request_cancel(&self) {
        self.cancel_requested.store(true, Ordering::Release);
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(super) fn is_cancel_requested(&self) -> bool {
        self.cancel_requested.load(Ordering::Acquire)
    }

    /// Whether somebody else has taken the saga over.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Entry {
    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.in_flight.running();
        // Someone in this process may have taken the saga over and entered it anew.
        let is_this = |signals: &Arc<Signals>| Arc::ptr_eq(signals, &self.signals);
        if running.get(&self.order_id).is_some_and(is_this) {
            running.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::Bucket;

    use super::*;

    #[test]
    fn a_takeover_is_heard_and_outlives_its_predecessor() {
        let in_flight = InFlight::default();
        let order_id = OrderId::new(datetime!(2026-11-22 10:00 UTC), Bucket::random());
        let first = in_flight.enter(order_id, false);
        let second = in_flight.enter(order_id, false);

        drop(first);
        in_flight.request_cancel(order_id);

        assert!(second.signals().is_cancel_requested());
        drop(second);
        assert!(in_flight.running().is_empty());
    }
}
