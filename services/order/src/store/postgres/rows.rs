//! Rows, and what they say.

use std::error::Error as StdError;
use std::str::FromStr;

use sqlx::{Error, FromRow};
use time::OffsetDateTime;
use trellis_api::id::{OrderId, UserId};
use trellis_api::{Currency, Money};
use trellis_telemetry::propagation::Remote;
use uuid::Uuid;

use crate::domain::{Cancellation, Order, PaymentToken, Reason};
use crate::saga::{Kind, Saga};
use crate::store::words;

/// The columns of an [`OrderRow`], of a table `orders`.
pub(super) const ORDER: &str = "orders.order_id, orders.user_id, orders.request_id, orders.items, \
     orders.currency, orders.total_minor, orders.state, orders.reason, orders.create_time, \
     orders.update_time";

#[derive(FromRow)]
pub(super) struct OrderRow {
    order_id: Uuid,
    user_id: Uuid,
    request_id: Uuid,
    items: String,
    currency: String,
    total_minor: i64,
    state: String,
    reason: Option<String>,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
}

/// The columns of a [`SagaRow`] beside its order's, of a table `sagas`.
pub(super) const SAGA: &str = "sagas.kind, sagas.reason AS saga_reason, sagas.detail, \
     sagas.payment_token, sagas.from_cart, sagas.cancel_requested, sagas.attempts, \
     sagas.failures, sagas.fence, sagas.deadline_time, sagas.create_time AS saga_create_time, \
     sagas.traceparent";

#[derive(FromRow)]
pub(super) struct SagaRow {
    #[sqlx(flatten)]
    order: OrderRow,
    kind: String,
    saga_reason: Option<String>,
    detail: Option<String>,
    payment_token: Option<String>,
    from_cart: bool,
    cancel_requested: bool,
    attempts: i64,
    failures: i64,
    fence: i64,
    deadline_time: OffsetDateTime,
    saga_create_time: OffsetDateTime,
    traceparent: Option<String>,
}

impl OrderRow {
    pub(super) fn order(self) -> Result<Order, Error> {
        let currency: Currency = parse(&self.currency)?;
        let reason = self.reason.as_deref().map(parse).transpose()?;
        let state = words::read_state(&self.state, reason);
        Ok(Order {
            order_id: OrderId::from_uuid(self.order_id),
            user_id: UserId::from_uuid(self.user_id),
            request_id: self.request_id,
            items: words::read_items(&self.items, currency).map_err(bad)?,
            total: Money::new(currency, self.total_minor),
            state: state.ok_or_else(|| bad("not a known state"))?,
            create_time: self.create_time,
            update_time: self.update_time,
        })
    }
}

impl SagaRow {
    /// What names the saga in a log, whatever else its row says.
    pub(super) fn name(&self) -> (OrderId, String) {
        (OrderId::from_uuid(self.order.order_id), self.kind.clone())
    }

    pub(super) fn saga(self) -> Result<Saga, Error> {
        let kind: Option<Kind> = words::read_kind(&self.kind);
        let reason: Option<Reason> = self.saga_reason.as_deref().map(parse).transpose()?;
        let detail = self.detail.unwrap_or_default();
        let payment_token: Option<PaymentToken> =
            self.payment_token.as_deref().map(parse).transpose()?;
        Ok(Saga {
            kind: kind.ok_or_else(|| bad("not a known kind"))?,
            order: self.order.order()?,
            turned_back: reason.map(|reason| Cancellation { reason, detail }),
            payment_token,
            from_cart: self.from_cart,
            cancel_requested: self.cancel_requested,
            attempts: self.attempts.try_into().map_err(bad)?,
            failures: self.failures.try_into().map_err(bad)?,
            fence: self.fence,
            trace: self.traceparent.as_deref().and_then(Remote::parse),
            deadline_time: self.deadline_time,
            create_time: self.saga_create_time,
        })
    }
}

pub(super) fn parse<T>(text: &str) -> Result<T, Error>
where
    T: FromStr<Err: StdError + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| bad(error))
}

/// A row says what the code cannot mean.
pub(super) fn bad(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Decode(error.into())
}
