//! What goes with what, and what is in demand.
//!
//! Every value here is valid by construction: parsing happens once, in
//! [`crate::api`] and [`crate::hear`], and code below that line never checks
//! again. Nothing in this module knows about protobuf, SQL or the clock.

mod basket;
mod decay;
mod model;
mod product;
mod top;
mod view;

pub use basket::{Basket, LearnedBasket};
pub use model::{Limits, Model};
pub use view::{Hour, HourViews, View};

/// How far into the store something has been read.
///
/// Baskets and views are numbered apart. Numbers may have gaps, but never does one show up
/// behind a position that has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The number of the newest basket.
    pub baskets: i64,
    /// The version of the newest count of views.
    pub views: i64,
}

impl Position {
    /// Whether everything up to `other` lies behind.
    pub fn covers(self, other: Self) -> bool {
        other.baskets <= self.baskets && other.views <= self.views
    }
}
