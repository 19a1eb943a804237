//! How a shard stands to a bucket.

use crate::Error;

/// What a database says of a bucket that it has, or has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is read and written there.
    Owned,
    /// As owned, and it is copied to another.
    Moving,
    /// As moving, but for a moment nobody comes in.
    Frozen,
    /// Another owns it; what is there is an old copy.
    Given,
    /// It is copied from another.
    Arriving,
}

impl State {
    /// As the column has it.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "owned" => Self::Owned,
            "moving" => Self::Moving,
            "frozen" => Self::Frozen,
            "given" => Self::Given,
            "arriving" => Self::Arriving,
            other => {
                let unknown = format!("a bucket is {other}, which this version does not know");
                return Err(sqlx::Error::Decode(unknown.into()).into());
            }
        })
    }

    /// Whether what the database has of the bucket is what is true.
    pub(super) fn is_owner(self) -> bool {
        matches!(self, Self::Owned | Self::Moving | Self::Frozen)
    }
}
