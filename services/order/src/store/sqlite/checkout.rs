//! The two writes of a happy checkout: how an order begins, and how it ends.

use rusqlite::Connection;
use trellis_events::outbox;
use trellis_storage::Error;
use trellis_storage::idempotency::{self, Claim, Fingerprint};

use super::rows::bad;
use super::{carts, orders, sagas};
use crate::domain::State;
use crate::saga::{Hold, Lease, Saga};
use crate::store::checkout::{NotBegun, scope};
use crate::store::{CheckoutRequest, Ended, Ending, Known};

pub(super) fn find(tx: &Connection, request: &CheckoutRequest) -> Result<Option<Known>, Error> {
    let CheckoutRequest { user_id, request_id, fingerprint } = request;
    match idempotency::find(tx, &scope(*user_id), *request_id, fingerprint)? {
        Some(claim) => known(claim),
        None => Ok(orders::find_by_request(tx, *user_id, *request_id)?.map(Known::Late)),
    }
}

pub(super) fn begin(
    tx: &Connection,
    saga: &Saga,
    fingerprint: &Fingerprint,
    lease: Lease,
) -> Result<Option<Known>, NotBegun> {
    let order = &saga.order;
    let claim = idempotency::claim(
        tx,
        &scope(order.user_id),
        order.request_id,
        fingerprint,
        &order.order_id.to_string(),
        order.create_time,
    )?;
    if let Some(known) = known(claim)? {
        return Ok(Some(known));
    }
    if !orders::insert(tx, order)? {
        let late = orders::find_by_request(tx, order.user_id, order.request_id)?
            .expect("what stood in the way of the insert is there");
        return Err(NotBegun::Late(Box::new(late)));
    }
    sagas::insert(tx, saga, Some(lease))?;
    Ok(None)
}

pub(super) fn end(tx: &Connection, hold: Hold, ending: &Ending) -> Result<Option<Ended>, Error> {
    let Ending { order, event, answer, clear_cart, log, lease, now } = ending;
    let Some(cancel_requested) = sagas::end(tx, hold, *now)? else { return Ok(None) };
    sagas::append_log(tx, hold, log)?;
    orders::update_state(tx, order)?;
    outbox::append(tx, event)?;
    if let Some(answer) = answer {
        idempotency::finish(tx, &scope(order.user_id), order.request_id, answer)?;
    }
    if *clear_cart {
        carts::clear(tx, order.user_id, order.create_time)?;
    }
    let refund = if cancel_requested && order.state == State::Confirmed {
        let refund = Saga::refund(order.clone(), *now);
        sagas::insert(tx, &refund, Some(*lease))?.then(|| Box::new(refund))
    } else {
        None
    };
    Ok(Some(Ended { refund }))
}

fn known(claim: Claim) -> Result<Option<Known>, Error> {
    Ok(match claim {
        Claim::New => None,
        Claim::InFlight { subject } => {
            Some(Known::Running(subject.parse().map_err(|error| bad(1, error))?))
        }
        Claim::Finished(answer) => Some(Known::Answered(answer)),
        Claim::Mismatch => Some(Known::Mismatch),
    })
}
