//! What the participants know, and the faults that a test asks for.
//!
//! They are small and honest: an id is the key of idempotency, the first answer
//! about it is the only one, and undoing what never came leaves a tombstone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tonic::{Code, Response, Status};
use trellis_api::error;
use trellis_api::inventory::v1::reservation;
use trellis_api::payment::v1::payment;

/// Everything outside of the order service. All clones are one.
#[derive(Clone, Default)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) products: BTreeMap<String, Product>,
    pub(crate) reservations: BTreeMap<String, Reservation>,
    pub(crate) payments: BTreeMap<String, Payment>,
    /// How often money was really taken, and really given back.
    pub(crate) captures: usize,
    pub(crate) refunds: usize,
    faults: HashMap<Call, VecDeque<Fault>>,
    broken: HashMap<Call, Fault>,
    calls: HashMap<Call, usize>,
    late: Vec<Effect>,
}

/// Something that is still to be done.
type Effect = Box<dyn FnOnce(&mut State) + Send>;

pub(crate) struct Product {
    pub(crate) price: i64,
    pub(crate) currency: &'static str,
    pub(crate) available: i64,
}

pub(crate) struct Reservation {
    pub(crate) state: reservation::State,
    pub(crate) lines: Vec<(String, i64)>,
}

pub(crate) struct Payment {
    pub(crate) state: payment::State,
    pub(crate) token: String,
}

/// A method that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Products,
    Reserve,
    Release,
    Commit,
    Restock,
    Authorize,
    Capture,
    Void,
    Refund,
}

#[derive(Clone)]
pub(crate) enum Fault {
    /// Not done, and said so.
    Unavailable,
    /// Not done, with an answer that the contract does not know.
    Internal,
    /// Not done, refused for a reason that the contract does not know.
    Odd,
    /// Done, and the answer lost.
    Lost,
    /// The answer is lost, and it is done when [`World::deliver_late`] says so.
    Late,
    /// Done when the test opens the gate.
    Gate(Arc<Gate>),
}

#[derive(Default)]
pub(crate) struct Gate {
    reached: Notify,
    open: Notify,
}

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next call of this kind fails.
    pub(crate) fn fail(&self, call: Call, fault: Fault) {
        self.state().faults.entry(call).or_default().push_back(fault);
    }

    /// Every call of this kind fails, until [`World::mend`].
    pub(crate) fn break_down(&self, call: Call, fault: Fault) {
        self.state().broken.insert(call, fault);
    }

    pub(crate) fn mend(&self) {
        self.state().broken.clear();
    }

    /// Holds the next call of this kind up.
    pub(crate) fn gate(&self, call: Call) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        self.fail(call, Fault::Gate(Arc::clone(&gate)));
        gate
    }

    pub(crate) fn calls(&self, call: Call) -> usize {
        self.state().calls.get(&call).copied().unwrap_or(0)
    }

    /// Waits until there were so many calls of this kind.
    pub(crate) async fn called(&self, call: Call, times: usize) {
        loop {
            let called = self.called.notified();
            if times <= self.calls(call) {
                return;
            }
            tokio::time::timeout(Duration::from_secs(20), called).await.unwrap();
        }
    }

    pub(crate) fn deliver_late(&self) -> usize {
        let mut state = self.state();
        let late = std::mem::take(&mut state.late);
        let count = late.len();
        for effect in late {
            effect(&mut state);
        }
        count
    }

    pub(crate) fn available(&self, sku: &str) -> i64 {
        self.state().products[sku].available
    }

    /// The state of an order's reservation, if it ever came.
    pub(crate) fn reservation(&self, order_id: &str) -> Option<reservation::State> {
        let id = order_id.replace("order_", "reservation_");
        self.state().reservations.get(&id).map(|reservation| reservation.state)
    }

    /// The state of an order's payment, if it ever came.
    pub(crate) fn payment(&self, order_id: &str) -> Option<payment::State> {
        let id = order_id.replace("order_", "payment_");
        self.state().payments.get(&id).map(|payment| payment.state)
    }

    /// Lets everything that is held lapse.
    pub(crate) fn expire(&self) {
        let mut state = self.state();
        let State { reservations, products, .. } = &mut *state;
        for reservation in reservations.values_mut() {
            if reservation.state == reservation::State::Held {
                reservation.state = reservation::State::Expired;
                give_back(products, &reservation.lines);
            }
        }
    }

    /// Does what is asked, unless the test has asked for a fault.
    pub(crate) async fn answer<T>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut State) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        match self.fault(call) {
            None => effect(&mut self.state()).map(Response::new),
            Some(Fault::Unavailable) => Err(away()),
            Some(Fault::Internal) => Err(error::internal()),
            Some(Fault::Odd) => Err(refused("MERCURY_IN_RETROGRADE", &[])),
            Some(Fault::Lost) => {
                let _ = effect(&mut self.state());
                Err(away())
            }
            Some(Fault::Late) => {
                self.state().late.push(Box::new(move |state| drop(effect(state))));
                Err(away())
            }
            Some(Fault::Gate(gate)) => {
                gate.reached.notify_one();
                gate.open.notified().await;
                effect(&mut self.state()).map(Response::new)
            }
        }
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        let mut state = self.state();
        *state.calls.entry(call).or_default() += 1;
        self.called.notify_waiters();
        let once = state.faults.get_mut(&call).and_then(VecDeque::pop_front);
        once.or_else(|| state.broken.get(&call).cloned())
    }
}

impl Gate {
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

pub(crate) fn give_back(products: &mut BTreeMap<String, Product>, lines: &[(String, i64)]) {
    for (sku, quantity) in lines {
        products.get_mut(sku).unwrap().available += quantity;
    }
}

pub(crate) fn refused(reason: &'static str, metadata: &[(&str, &str)]) -> Status {
    error::status(Code::FailedPrecondition, reason, "refused", metadata)
}

fn away() -> Status {
    error::unavailable("AWAY", "away", Duration::from_millis(10))
}
