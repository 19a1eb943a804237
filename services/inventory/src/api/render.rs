//! The domain's words, said the protobuf way.

use trellis_api::inventory::v1 as pb;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};
use trellis_api::{shop, timestamp};

use crate::domain::{Check, Line, Product, Reservation, State, StockedProduct};

pub(crate) fn product(product: Product) -> shop::v1::Product {
    shop::v1::Product {
        sku: product.sku.into(),
        title: product.title.into(),
        price: Some(product.price.into()),
        update_time: Some(timestamp::to_proto(product.update_time)),
    }
}

pub(crate) fn stocked_product(stocked: StockedProduct) -> pb::StockedProduct {
    pb::StockedProduct { product: Some(product(stocked.product)), available: stocked.available }
}

pub(crate) fn reservation(reservation: Reservation) -> pb::Reservation {
    pb::Reservation {
        reservation_id: reservation.reservation_id.to_string(),
        state: state(reservation.state).into(),
        lines: reservation.lines.into_iter().map(line).collect(),
        expire_time: reservation.expire_time.map(timestamp::to_proto),
    }
}

pub(crate) fn check(check: Check) -> AuditCheck {
    let violation = |found: crate::domain::Violation| AuditViolation {
        subject: found.subject,
        detail: found.detail,
    };
    AuditCheck {
        invariant: check.invariant.to_owned(),
        examined: check.examined,
        violations: check.violations.into_iter().map(violation).collect(),
    }
}

fn line(line: Line) -> pb::ReservationLine {
    pb::ReservationLine { sku: line.sku.into(), quantity: line.quantity.into() }
}

fn state(state: State) -> pb::reservation::State {
    match state {
        State::Held => pb::reservation::State::Held,
        State::Rejected => pb::reservation::State::Rejected,
        State::Committed => pb::reservation::State::Committed,
        State::Released => pb::reservation::State::Released,
        State::Expired => pb::reservation::State::Expired,
        State::Restocked => pb::reservation::State::Restocked,
    }
}
