//! The work that brings an order to a definite end.
//!
//! A saga and the reservation and payment that it settles share the order's
//! UUID, and every participant repeats its first answer about an id. So a saga
//! that was interrupted simply begins again from its first step: what was done
//! stays done, and what was refused stays refused. Only a decision that a
//! repetition might not take again, to turn back, is written down first.
//!
//! One step, one file: what it does, and what undoes it. [`plan`] alone knows
//! their order, [`policy`] all times and limits.

pub mod plan;
pub mod policy;

mod authorize;
mod capture;
mod commit;
mod peers;
mod reserve;

use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_telemetry::propagation::Remote;
use uuid::Uuid;

use crate::domain::{Cancellation, Order, PaymentToken};

pub use peers::{Peers, Trouble};
pub use plan::{Answer, Next, Refusal, Step};

/// Which rules a new saga is run by. A saga of an older version ends by its own.
pub const VERSION: i64 = 1;

/// What a saga brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A pending order becomes confirmed or cancelled.
    Checkout,
    /// A confirmed order becomes refunded.
    Refund,
}

/// A saga that this process may run.
#[derive(Clone, Debug)]
pub struct Saga {
    pub kind: Kind,
    /// As it was when the saga was begun or claimed; only the saga changes it.
    pub order: Order,
    /// Why it has turned back, if it has.
    pub turned_back: Option<Cancellation>,
    /// There until the saga turns back or ends.
    pub payment_token: Option<PaymentToken>,
    /// Whether the items came from the cart, which a sale then empties.
    pub from_cart: bool,
    pub cancel_requested: bool,
    /// Postponements in a row.
    pub attempts: u32,
    /// How many of them were due to a definite but unexpected answer.
    pub failures: u32,
    /// Grows with every takeover.
    pub fence: i64,
    /// The span of the call that began it, if that is known.
    pub trace: Option<Remote>,
    /// When a checkout that is not past the pivot turns back.
    pub deadline_time: OffsetDateTime,
    pub create_time: OffsetDateTime,
}

/// What lets its holder write a saga: as soon as someone takes over, it is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub order_id: OrderId,
    pub kind: Kind,
    pub fence: i64,
}

/// Who works on a saga, and until when nobody else may.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub owner: Uuid,
    pub until: OffsetDateTime,
}

/// A line of a saga's log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub step: &'static str,
    pub outcome: String,
    pub time: OffsetDateTime,
}

impl Kind {
    /// The name in the store and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Refund => "refund",
        }
    }
}

impl Saga {
    /// A new checkout of a pending order.
    pub fn checkout(order: Order, payment_token: PaymentToken, from_cart: bool) -> Self {
        Self {
            kind: Kind::Checkout,
            turned_back: None,
            payment_token: Some(payment_token),
            from_cart,
            cancel_requested: false,
            attempts: 0,
            failures: 0,
            fence: 1,
            trace: Remote::current(),
            deadline_time: order.create_time + policy::DEADLINE,
            create_time: order.create_time,
            order,
        }
    }

    /// A new refund of a confirmed order.
    pub fn refund(order: Order, now: OffsetDateTime) -> Self {
        Self {
            kind: Kind::Refund,
            turned_back: None,
            payment_token: None,
            from_cart: false,
            cancel_requested: false,
            attempts: 0,
            failures: 0,
            fence: 1,
            trace: Remote::current(),
            deadline_time: now + policy::DEADLINE,
            create_time: now,
            order,
        }
    }

    /// What lets this saga's runner write it.
    pub fn hold(&self) -> Hold {
        Hold { order_id: self.order.order_id, kind: self.kind, fence: self.fence }
    }
}
