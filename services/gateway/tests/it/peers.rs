//! The services behind the gateway, and the faults that a test asks for.

mod inventory;
mod order;
mod recommendation;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tonic::{Code, Response, Status};
use trellis_api::error;
use trellis_api::order::v1::GetCartResponse;
use trellis_consistency::Position;

pub(crate) use self::order::WRITTEN;
pub(crate) use self::user::{SESSION, USER};

/// Everything behind the gateway. All clones are one.
#[derive(Clone, Default)]
pub(crate) struct Peers(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// What is for sale, by its SKU.
    pub(crate) products: BTreeMap<String, Product>,
    /// What goes with every product.
    pub(crate) suggested: Vec<&'static str>,
    /// Everybody's cart.
    pub(crate) cart: GetCartResponse,
    /// What the last look at a cart had to see of the order database.
    pub(crate) needed: Option<Position>,
    faults: HashMap<Call, Fault>,
}

#[derive(Clone, Copy)]
pub(crate) struct Product {
    pub(crate) price: i64,
    pub(crate) available: i64,
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Looking up products of which this is one.
    Product(&'static str),
    ListProducts,
    Recommend,
    Checkout,
    Cancel,
}

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers this instead.
    Fails(Status),
    /// Answers as it should, after so long.
    Slow(Duration),
    /// Never answers.
    Silent,
}

impl Peers {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Every such call fails, until [`Peers::mend`].
    pub(crate) fn break_down(&self, call: Call, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    pub(crate) fn mend(&self) {
        self.state().faults.clear();
    }

    /// Does what is asked, unless the test has asked for a fault.
    async fn answer<T>(
        &self,
        calls: &[Call],
        effect: impl FnOnce(&mut State) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let fault = {
            let state = self.state();
            calls.iter().find_map(|call| state.faults.get(call)).cloned()
        };
        match fault {
            None => {}
            Some(Fault::Fails(status)) => return Err(status),
            Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::Silent) => std::future::pending().await,
        }
        effect(&mut self.state()).map(Response::new)
    }
}

impl Fault {
    pub(crate) fn of(code: Code) -> Self {
        Self::Fails(error::status(code, "ON_PURPOSE", "failed on purpose", &[]))
    }
}

fn not_asked() -> Status {
    Status::unimplemented("no test makes the gateway ask this")
}
