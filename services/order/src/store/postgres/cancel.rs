//! What comes of a customer's wish to cancel.

use trellis_storage::idempotency::postgres::{self as idempotency, Key};
use trellis_storage::idempotency::{Claim, Fingerprint};
use trellis_storage::{Error, Tx};

use super::{orders, sagas};
use crate::domain::State;
use crate::saga::Saga;
use crate::store::{Cancel, Cancelling};

/// The order is locked, so it cannot become confirmed between the look at it and the wish.
pub(super) async fn request(mut tx: Tx, cancel: &Cancel) -> Result<Cancelling, Error> {
    let Cancel { user_id, order_id, request_id, lease, now } = *cancel;
    let Some(order) = orders::lock(&mut tx, user_id, order_id).await? else {
        return Ok(Cancelling::NotFound);
    };
    // The record keeps no answer: the order, once it is undone, never changes
    // again and says it all.
    let subject = order_id.to_string();
    let fingerprint = Fingerprint::of(&[subject.as_bytes()]);
    let scope = format!("cancel/{user_id}");
    let key = Key { bucket: user_id.bucket(), scope: &scope, key: request_id };
    let is_repeated = match idempotency::claim(&mut tx, key, &fingerprint, &subject, now).await? {
        Claim::Mismatch => return Ok(Cancelling::Mismatch),
        Claim::New => false,
        Claim::InFlight { .. } | Claim::Finished(_) => true,
    };
    let refund = match order.state {
        State::Pending => {
            sagas::request_cancel(&mut tx, order_id, now).await?;
            None
        }
        State::Confirmed => {
            let refund = Saga::refund(order.clone(), now);
            let is_new = sagas::insert_refund(&mut tx, &refund, lease).await?;
            (is_new && lease.is_some()).then(|| Box::new(refund))
        }
        State::Cancelled(_) | State::Refunded(_) => None,
    };
    Ok(Cancelling::Noted { order, refund, is_repeated })
}
