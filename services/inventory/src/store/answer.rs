//! What stores answer from what they have kept, whatever they keep it in.

use time::OffsetDateTime;
use tonic::Code;
use trellis_api::Sku;
use trellis_storage::idempotency::{Answer, Fingerprint};

use super::Verdict;
use crate::domain::{
    Adjustment, CannotAdjust, Lines, Reservation, Reserve, Shortage, State, Stock,
};
use crate::error::Error;

/// What is kept about a reservation, beside its lines.
pub(super) struct Record {
    pub(super) state: State,
    /// Of the lines it was asked for with; a tombstone has none.
    pub(super) fingerprint: Option<[u8; 32]>,
    pub(super) expire_time: Option<OffsetDateTime>,
    /// What was missing, and how much of it there was.
    pub(super) rejected: Option<(Sku, i64)>,
}

impl Record {
    /// Whether its time is over. A sold reservation lapses as well, without effect.
    pub(super) fn lapsed(&self, now: OffsetDateTime) -> bool {
        self.expire_time.is_some_and(|expire_time| expire_time <= now)
    }

    /// Says the first answer again, if that still stands.
    pub(super) fn repeat(self, reserve: &Reserve, now: OffsetDateTime) -> Verdict {
        if self.fingerprint.is_some_and(|first| first != fingerprint(&reserve.lines).0) {
            return Err(Error::IdReused);
        }
        let again = self.state.reserve_again(self.lapsed(now));
        if let Some((sku, available)) = self.rejected {
            let line = reserve.lines.iter().find(|line| line.sku == sku);
            let requested = line.map_or(0, |line| line.quantity.get().into());
            return Err(Error::OutOfStock(Shortage { sku, requested, available }));
        }
        again?;
        Ok(held(reserve, self.state, self.expire_time))
    }
}

/// The reservation that `reserve` has become.
pub(super) fn held(
    reserve: &Reserve,
    state: State,
    expire_time: Option<OffsetDateTime>,
) -> Reservation {
    let Reserve { reservation_id, lines, .. } = reserve;
    Reservation { reservation_id: *reservation_id, state, lines: lines.to_vec(), expire_time }
}

/// Tells lines from others.
pub(super) fn fingerprint(lines: &Lines) -> Fingerprint {
    let quantities: Vec<_> = lines.iter().map(|line| line.quantity.get().to_be_bytes()).collect();
    let parts: Vec<&[u8]> = lines
        .iter()
        .zip(&quantities)
        .flat_map(|(line, quantity)| [line.sku.as_str().as_bytes(), quantity.as_slice()])
        .collect();
    Fingerprint::of(&parts)
}

/// Reads a state as stores keep it.
pub(super) fn state(text: &str) -> Result<State, Error> {
    let state = State::ALL.into_iter().find(|state| state.as_str() == text);
    state.ok_or(Error::Inconsistent("the state of a reservation"))
}

/// The scope of the request ids of adjustments.
pub(super) const ADJUST: &str = "inventory.AdjustStock";

/// Tells an adjustment from others.
pub(super) fn request(Adjustment { sku, delta, .. }: &Adjustment) -> Fingerprint {
    Fingerprint::of(&[sku.as_str().as_bytes(), &delta.to_be_bytes()])
}

/// What the stock is after an adjustment, or why that cannot be.
pub(super) fn adjusted(before: Stock, adjustment: &Adjustment) -> Result<Stock, Error> {
    let sku = || adjustment.sku.clone();
    before.adjusted(adjustment.delta).map_err(|why| match why {
        CannotAdjust::BelowReserved => Error::InsufficientStock {
            sku: sku(),
            requested: -adjustment.delta,
            available: before.available(),
        },
        CannotAdjust::AboveMost => Error::StockLimit { sku: sku() },
    })
}

/// What is kept of an adjustment: what the stock was before tells the answer again,
/// whichever it was.
pub(super) fn kept(before: Stock, answer: &Result<Stock, Error>) -> Answer {
    let code = if answer.is_ok() { Code::Ok } else { Code::FailedPrecondition };
    let body = serde_json::to_vec(&before).expect("a stock is two numbers");
    Answer { code: code.into(), body }
}

/// Says the first answer again.
pub(super) fn adjusted_again(kept: &Answer, adjustment: &Adjustment) -> Result<Stock, Error> {
    let before = serde_json::from_slice(&kept.body)
        .map_err(|_| Error::Inconsistent("the answer of an adjustment"))?;
    adjusted(before, adjustment)
}
