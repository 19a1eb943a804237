//! What a checkout is in every database.

use trellis_api::id::UserId;
use trellis_storage::Error;

use super::Known;
use crate::domain::Order;

/// Why an order was not begun, so that all of the unit is undone.
pub(super) enum NotBegun {
    Late(Box<Order>),
    Storage(Error),
}

/// A customer's requests are their own: nobody can hit on another's by its id.
pub(super) fn scope(user_id: UserId) -> String {
    format!("checkout/{user_id}")
}

impl NotBegun {
    /// What the caller hears, for whom a late repetition is no failure.
    pub(super) fn known(self) -> Result<Option<Known>, Error> {
        match self {
            Self::Late(order) => Ok(Some(Known::Late(*order))),
            Self::Storage(error) => Err(error),
        }
    }
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}
