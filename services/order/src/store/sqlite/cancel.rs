//! What comes of a customer's wish to cancel.

use rusqlite::Connection;
use trellis_storage::Error;
use trellis_storage::idempotency::{self, Claim, Fingerprint};

use super::{orders, sagas};
use crate::domain::State;
use crate::saga::Saga;
use crate::store::{Cancel, Cancelling};

pub(super) fn request(tx: &Connection, cancel: &Cancel) -> Result<Cancelling, Error> {
    let Cancel { user_id, order_id, request_id, lease, now } = *cancel;
    let Some(order) = orders::find(tx, user_id, order_id)? else {
        return Ok(Cancelling::NotFound);
    };
    // The record keeps no answer: the order, once it is undone, never changes
    // again and says it all.
    let subject = order_id.to_string();
    let fingerprint = Fingerprint::of(&[subject.as_bytes()]);
    let scope = format!("cancel/{user_id}");
    let is_repeated = match idempotency::claim(tx, &scope, request_id, &fingerprint, &subject, now)?
    {
        Claim::Mismatch => return Ok(Cancelling::Mismatch),
        Claim::New => false,
        Claim::InFlight { .. } | Claim::Finished(_) => true,
    };
    let refund = match order.state {
        State::Pending => {
            sagas::request_cancel(tx, order_id, now)?;
            None
        }
        State::Confirmed => {
            let refund = Saga::refund(order.clone(), now);
            let is_ours = sagas::insert(tx, &refund, lease)? && lease.is_some();
            is_ours.then(|| Box::new(refund))
        }
        State::Cancelled(_) | State::Refunded(_) => None,
    };
    Ok(Cancelling::Noted { order, refund, is_repeated })
}
