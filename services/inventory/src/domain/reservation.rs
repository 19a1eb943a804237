//! Units that are promised.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use trellis_api::id::ReservationId;
use trellis_api::{Quantity, Sku};

use super::State;

/// Units of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// 1 to 1,000 lines with distinct SKUs, in the order of the SKUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Arc<[Line]>);

/// Lines that cannot be reserved together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLinesError {
    /// There are none, or too many.
    #[error("must have 1 to {} entries", Lines::MOST)]
    Count,
    /// Two are of the same product.
    #[error("must not repeat an earlier line")]
    Repeated {
        /// Where the second one is.
        index: usize,
    },
}

/// A wish to hold units.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Chosen by the caller, so that a repetition is known.
    pub reservation_id: ReservationId,
    /// What to hold.
    pub lines: Lines,
    /// How long to hold it.
    pub ttl: Duration,
}

/// A wish to hold units, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Names it.
    pub reservation_id: ReservationId,
    /// What became of it.
    pub state: State,
    /// What it holds or held; empty when it never held anything.
    pub lines: Vec<Line>,
    /// When it lapses, if it was ever held.
    pub expire_time: Option<OffsetDateTime>,
}

/// The first line that could not be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of which product.
    pub sku: Sku,
    /// How many units were wanted.
    pub requested: i64,
    /// How many there were.
    pub available: i64,
}

impl Lines {
    /// As many as one reservation may have.
    pub const MOST: usize = 1_000;

    /// Takes lines in any order.
    pub fn new(mut lines: Vec<Line>) -> Result<Self, ParseLinesError> {
        if lines.is_empty() || Self::MOST < lines.len() {
            return Err(ParseLinesError::Count);
        }
        let mut seen = HashSet::with_capacity(lines.len());
        if let Some(index) = lines.iter().position(|line| !seen.insert(&line.sku)) {
            return Err(ParseLinesError::Repeated { index });
        }
        lines.sort_unstable_by(|one, other| one.sku.cmp(&other.sku));
        Ok(Self(lines.into()))
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str) -> Line {
        Line { sku: sku.parse().unwrap(), quantity: 1.try_into().unwrap() }
    }

    #[test]
    fn lines_are_few_and_distinct_and_in_order() {
        let lines = Lines::new(vec![line("B"), line("A")]).unwrap();
        assert_eq!(*lines, [line("A"), line("B")]);

        let repeated = vec![line("B"), line("A"), line("B")];
        assert_eq!(Lines::new(repeated), Err(ParseLinesError::Repeated { index: 2 }));
        assert_eq!(Lines::new(Vec::new()), Err(ParseLinesError::Count));
        let many = (0..=1_000).map(|number| line(&number.to_string())).collect();
        assert_eq!(Lines::new(many), Err(ParseLinesError::Count));
    }
}
