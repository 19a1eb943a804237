//! A store without a service around it, and what is written into it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::{OrderId, UserId};
use trellis_chassis::{Clock as _, ManualClock};
use trellis_events::event;
use trellis_order::domain::{Item, Order, State};
use trellis_order::saga::{Entry, Lease, Saga};
use trellis_order::store::{Ending, Postponement, Store};
use trellis_storage::Options;
use trellis_storage::idempotency::{Answer, Fingerprint};
use trellis_testkit::Database;
use uuid::Uuid;

use super::ground::{clock, customer, open_store};

/// What one process sees of an order database.
pub(crate) struct Records<'d> {
    pub(crate) database: &'d Database,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) user_id: UserId,
}

impl<'d> Records<'d> {
    pub(crate) async fn open(database: &'d Database) -> Self {
        let store = open_store(database, &Options::default()).await;
        Self { database, store, clock: clock(), user_id: customer() }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A checkout that nobody has begun.
    pub(crate) fn checkout(&self) -> Saga {
        checkout(self.user_id, self.now())
    }

    /// One that is begun now, and that its owner has for half a minute.
    pub(crate) async fn begun(&self) -> Saga {
        let saga = self.checkout();
        begin(&*self.store, &saga, lease(self.now())).await;
        saga
    }

    /// One that is begun now, and that nobody works on.
    pub(crate) async fn abandoned(&self) -> Saga {
        let saga = self.checkout();
        begin(&*self.store, &saga, lease(self.now() - Duration::from_hours(1))).await;
        saga
    }

    /// What could be seen of an order.
    pub(crate) async fn order(&self, saga: &Saga) -> Order {
        let Order { user_id, order_id, .. } = saga.order;
        self.store.order(user_id, order_id).await.unwrap().unwrap()
    }
}

/// A pending order of two mugs.
pub(crate) fn pending(user_id: UserId, now: OffsetDateTime) -> Order {
    let price = Money::new("GBP".parse().unwrap(), 350);
    let quantity = 2.try_into().unwrap();
    let item = Item {
        sku: "MUG".parse().unwrap(),
        title: "A MUG".to_owned(),
        quantity,
        unit_price: price,
    };
    Order {
        order_id: OrderId::new(now, user_id.bucket()),
        user_id,
        request_id: Uuid::new_v4(),
        items: Arc::new([item]),
        total: price.checked_mul(quantity).unwrap(),
        state: State::Pending,
        create_time: now,
        update_time: now,
    }
}

pub(crate) fn checkout(user_id: UserId, now: OffsetDateTime) -> Saga {
    Saga::checkout(pending(user_id, now), "tok_ok".parse().unwrap(), false)
}

pub(crate) async fn begin(store: &dyn Store, saga: &Saga, lease: Lease) {
    let begun = store.begin(saga.clone(), Fingerprint::of(&[]), lease).await.unwrap();
    assert!(begun.is_none());
}

pub(crate) fn lease(now: OffsetDateTime) -> Lease {
    Lease { owner: Uuid::new_v4(), until: now + Duration::from_secs(30) }
}

pub(crate) fn rest(until: OffsetDateTime) -> Postponement {
    Postponement {
        step: None,
        attempts: 1,
        failures: 1,
        next_attempt_time: Some(until),
        error: Some("away".to_owned()),
        log: Vec::new(),
        now: until,
    }
}

pub(crate) fn entry(outcome: &str, time: OffsetDateTime) -> Entry {
    Entry { step: "reserve", outcome: outcome.to_owned(), time }
}

pub(crate) fn said() -> Answer {
    Answer { code: 0, body: b"sold".to_vec() }
}

pub(crate) fn confirmed(saga: &Saga, now: OffsetDateTime) -> Ending {
    let order = saga.order.becomes(State::Confirmed, now).unwrap();
    let id = order.order_id;
    let payload = trellis_api::event::v1::OrderConfirmed::default();
    Ending {
        event: event(now, id.bucket(), "order.confirmed", id.to_string(), &payload),
        order,
        answer: Some(said()),
        clear_cart: false,
        log: Vec::new(),
        lease: lease(now),
        now,
    }
}
