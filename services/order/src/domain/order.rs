//! A purchase and its life: pending, then confirmed or cancelled; confirmed,
//! then perhaps refunded.

use std::str::FromStr;
use std::sync::Arc;

use time::OffsetDateTime;
use trellis_api::id::{OrderId, UserId};
use trellis_api::{Money, Quantity, Sku};
use uuid::Uuid;

/// A purchase, from the moment it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub order_id: OrderId,
    pub user_id: UserId,
    /// What the customer called this purchase: one request never makes two orders.
    pub request_id: Uuid,
    pub items: Arc<[Item]>,
    pub total: Money,
    pub state: State,
    pub create_time: OffsetDateTime,
    /// When the state last changed.
    pub update_time: OffsetDateTime,
}

/// One line of an order, at the price of the moment of purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub sku: Sku,
    pub title: String,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// How far a purchase has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted and durable; stock and payment are being settled.
    Pending,
    /// Paid, and the stock is committed.
    Confirmed,
    /// Ended without a sale; nothing is held and nothing was charged.
    Cancelled(Reason),
    /// Was confirmed, then given back.
    Refunded(Reason),
}

/// Why there was no sale, or why it was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    OutOfStock,
    PaymentDeclined,
    /// Somebody else voided the payment before it was authorized.
    PaymentVoided,
    /// The stock was no longer held when it was to be sold.
    ReservationExpired,
    /// The authorized money could not be taken after all.
    CaptureFailed,
    /// Stock or payment could not be settled in time.
    CheckoutTimedOut,
    CancelledByCustomer,
}

/// Why there is no sale, with the one fact that goes with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    pub reason: Reason,
    /// The SKU that is sold out, or the processor's decline code; else empty.
    pub detail: String,
}

/// A change of state that an order's life does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from:?} cannot become {to:?}")]
pub struct TransitionError {
    from: State,
    to: State,
}

impl Order {
    /// The order in its next state.
    pub fn becomes(&self, to: State, now: OffsetDateTime) -> Result<Self, TransitionError> {
        let allowed = matches!(
            (self.state, to),
            (State::Pending, State::Confirmed | State::Cancelled(_))
                | (State::Confirmed, State::Refunded(_))
        );
        if !allowed {
            return Err(TransitionError { from: self.state, to });
        }
        // A clock that was set back must not make an order older than it is.
        Ok(Self { state: to, update_time: now.max(self.update_time), ..self.clone() })
    }
}

impl State {
    /// Whether the checkout has come to an end.
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }

    /// Whether there is no sale, or no longer one.
    pub fn is_undone(self) -> bool {
        matches!(self, Self::Cancelled(_) | Self::Refunded(_))
    }

    /// Why, for the states that have a reason.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Pending | Self::Confirmed => None,
            Self::Cancelled(reason) | Self::Refunded(reason) => Some(reason),
        }
    }
}

impl Reason {
    const ALL: [Self; 7] = [
        Self::OutOfStock,
        Self::PaymentDeclined,
        Self::PaymentVoided,
        Self::ReservationExpired,
        Self::CaptureFailed,
        Self::CheckoutTimedOut,
        Self::CancelledByCustomer,
    ];

    /// The published name, which never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::PaymentDeclined => "PAYMENT_DECLINED",
            Self::PaymentVoided => "PAYMENT_VOIDED",
            Self::ReservationExpired => "RESERVATION_EXPIRED",
            Self::CaptureFailed => "CAPTURE_FAILED",
            Self::CheckoutTimedOut => "CHECKOUT_TIMED_OUT",
            Self::CancelledByCustomer => "CANCELLED_BY_CUSTOMER",
        }
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// A text that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known reason")]
pub struct UnknownReason;

impl From<Reason> for Cancellation {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::Bucket;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    fn order(state: State) -> Order {
        let user_id = UserId::new(NOW, Bucket::random());
        Order {
            order_id: OrderId::new(NOW, user_id.bucket()),
            user_id,
            request_id: Uuid::nil(),
            items: Arc::new([]),
            total: Money::zero("GBP".parse().unwrap()),
            state,
            create_time: NOW,
            update_time: NOW,
        }
    }

    #[test]
    fn an_order_has_one_life_and_no_way_back() {
        let reason = Reason::CancelledByCustomer;
        let states =
            [State::Pending, State::Confirmed, State::Cancelled(reason), State::Refunded(reason)];
        let allowed = [(0, 1), (0, 2), (1, 3)];

        for (from, &before) in states.iter().enumerate() {
            for (to, &after) in states.iter().enumerate() {
                let became = order(before).becomes(after, NOW);
                assert_eq!(became.is_ok(), allowed.contains(&(from, to)), "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn a_change_never_makes_an_order_older() {
        let order = order(State::Pending);
        let earlier = NOW - std::time::Duration::from_mins(5);

        let confirmed = order.becomes(State::Confirmed, earlier).unwrap();

        assert_eq!(confirmed.update_time, NOW);
    }

    #[test]
    fn a_reason_survives_its_name() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert_eq!("SOMETHING".parse::<Reason>(), Err(UnknownReason));
    }
}
