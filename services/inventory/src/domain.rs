//! The words of the inventory domain.
//!
//! Every value here is valid by construction: parsing happens once, in `api`,
//! and code below that line never checks again. Nothing in this module knows
//! about protobuf, SQL or where the time comes from.

mod product;
mod reservation;
mod state;
mod words;

pub use product::{
    Adjustment, CannotAdjust, Found, Import, OnHand, ParseOnHandError, ParseTitleError, Product,
    Rank, Stock, StockedProduct, Title, Upserted,
};
pub use reservation::{Line, Lines, ParseLinesError, Reservation, Reserve, Shortage};
pub use state::{Movement, Refusal, State, Step};
pub use words::{ParseWordsError, Words};

/// What looking for violations of one invariant has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The sentence that must hold.
    pub invariant: &'static str,
    /// How many things were looked at.
    pub examined: i64,
    /// What breaks the sentence; if that is much, only a part of it.
    pub violations: Vec<Violation>,
}

/// One thing that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it is.
    pub subject: String,
    /// What is wrong with it, with the figures.
    pub detail: String,
}
