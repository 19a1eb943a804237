//! The words of the order domain.
//!
//! Every value here is valid by construction: parsing happens once, in
//! `api`. Nothing in this module knows about SQL, RPCs or sagas.

mod order;
mod payment_token;
mod purchase;

pub use order::{Cancellation, Item, Order, Reason, State, TransitionError};
pub use payment_token::PaymentToken;
pub use purchase::{Line, MAX_LINES, PriceError, Product, price};
