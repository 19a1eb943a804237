//! What must hold between services.

use time::{Duration, OffsetDateTime};
use trellis_api::id::OrderId;
use trellis_api::inventory::v1::Reservation;
use trellis_api::inventory::v1::reservation::State as Stock;
use trellis_api::order::v1::AuditedOrder;
use trellis_api::payment::v1::Payment;
use trellis_api::payment::v1::payment::State as Money;
use trellis_api::shop::v1::Order;
use trellis_api::shop::v1::order::State;
use trellis_api::timestamp;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};
use uuid::Uuid;

use super::Facts;

/// How long an event may be on its way.
const DELIVERY: Duration = Duration::seconds(30);

/// Checks every rule that needs the records of more than one service.
pub(super) fn check(facts: &Facts) -> Vec<AuditCheck> {
    vec![
        settled_orders(facts, "every settled order agrees with its payment", |uuid, order| {
            payment_of(order, facts.payments.get(uuid))
        }),
        settled_orders(facts, "every settled order agrees with its reservation", |uuid, order| {
            reservation_of(order, facts.reservations.get(uuid))
        }),
        orphans(
            facts,
            "no money is taken or blocked without an order",
            facts.payments.iter().filter(|(_, payment)| moves_money(payment)).map(
                |(uuid, payment)| {
                    (*uuid, payment.create_time.as_ref().and_then(timestamp::from_proto))
                },
            ),
        ),
        orphans(
            facts,
            "no stock is held or sold without an order",
            facts
                .reservations
                .iter()
                .filter(|(_, reservation)| holds_stock(reservation))
                .map(|(uuid, _)| (*uuid, None)),
        ),
        heard(facts),
    ]
}

/// Asks `rule` about each order that no saga is at work on.
fn settled_orders(
    facts: &Facts,
    invariant: &str,
    rule: impl Fn(&Uuid, &Order) -> Option<String>,
) -> AuditCheck {
    let mut check = AuditCheck { invariant: invariant.to_owned(), ..AuditCheck::default() };
    for (uuid, AuditedOrder { order, in_progress, .. }) in &facts.orders {
        let Some(order) = order.as_ref().filter(|_| !in_progress) else { continue };
        check.examined += 1;
        if let Some(detail) = rule(uuid, order) {
            check.violations.push(AuditViolation { subject: order.order_id.clone(), detail });
        }
    }
    check
}

fn payment_of(order: &Order, payment: Option<&Payment>) -> Option<String> {
    let state = payment.map_or(Money::Unspecified, Payment::state);
    let agrees = match order.state() {
        State::Confirmed => state == Money::Captured,
        State::Refunded => state == Money::Refunded,
        State::Cancelled => {
            matches!(state, Money::Unspecified | Money::Declined | Money::Voided)
        }
        State::Pending | State::Unspecified => false,
    };
    if !agrees {
        return Some(disagreement(order, payment.map(|payment| payment.state().as_str_name())));
    }
    let amount = payment.and_then(|payment| payment.amount.as_ref());
    // A tombstone and a decline move nothing, so their amounts do not matter.
    (order.state() != State::Cancelled && amount != order.total.as_ref())
        .then(|| format!("the order's total is {:?}, the payment's {amount:?}", order.total))
}

fn reservation_of(order: &Order, reservation: Option<&Reservation>) -> Option<String> {
    let state = reservation.map_or(Stock::Unspecified, Reservation::state);
    let agrees = match order.state() {
        State::Confirmed => state == Stock::Committed,
        State::Refunded => state == Stock::Restocked,
        State::Cancelled => !matches!(state, Stock::Held | Stock::Committed),
        State::Pending | State::Unspecified => false,
    };
    if !agrees {
        let found = reservation.map(|reservation| reservation.state().as_str_name());
        return Some(disagreement(order, found));
    }
    if order.state() != State::Confirmed {
        return None;
    }
    let lines = |mut lines: Vec<(String, i32)>| {
        lines.sort();
        lines
    };
    let ordered = lines(order.items.iter().map(|i| (i.sku.clone(), i.quantity)).collect());
    let held = reservation.map(|reservation| &reservation.lines).into_iter().flatten();
    let held = lines(held.map(|line| (line.sku.clone(), line.quantity)).collect());
    (ordered != held).then(|| format!("ordered {ordered:?}, committed {held:?}"))
}

/// Finds things that belong to an order which is not there.
///
/// What came after the orders were read is left out; a thing without a time of
/// its own is taken to be as old as its UUIDv7 says.
fn orphans(
    facts: &Facts,
    invariant: &str,
    things: impl Iterator<Item = (Uuid, Option<OffsetDateTime>)>,
) -> AuditCheck {
    let mut check = AuditCheck { invariant: invariant.to_owned(), ..AuditCheck::default() };
    for (uuid, time) in things {
        let time = time.or_else(|| made(uuid));
        check.examined += 1;
        if facts.orders.contains_key(&uuid) || time.is_some_and(|time| facts.now <= time) {
            continue;
        }
        let subject = OrderId::from_uuid(uuid).to_string();
        check.violations.push(AuditViolation { subject, detail: "there is no such order".into() });
    }
    check
}

/// Finds confirmed orders that the recommendation service never heard of.
fn heard(facts: &Facts) -> AuditCheck {
    let invariant = "every confirmed order was learned from";
    let mut check = AuditCheck { invariant: invariant.to_owned(), ..AuditCheck::default() };
    for (uuid, audited) in &facts.orders {
        let Some(order) = &audited.order else { continue };
        let update_time = order.update_time.as_ref().and_then(timestamp::from_proto);
        let due = update_time.is_some_and(|time| {
            time + DELIVERY < facts.now && facts.forgotten_until.is_none_or(|until| until < time)
        });
        if order.state() != State::Confirmed || !due {
            continue;
        }
        check.examined += 1;
        if !facts.learned.contains(uuid) {
            let detail = "its confirmation was not heard".to_owned();
            check.violations.push(AuditViolation { subject: order.order_id.clone(), detail });
        }
    }
    check
}

fn moves_money(payment: &Payment) -> bool {
    matches!(payment.state(), Money::Authorized | Money::Captured | Money::Refunded)
}

fn holds_stock(reservation: &Reservation) -> bool {
    matches!(reservation.state(), Stock::Held | Stock::Committed)
}

fn made(uuid: Uuid) -> Option<OffsetDateTime> {
    let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(time + Duration::nanoseconds(nanoseconds.into()))
}

fn disagreement(order: &Order, found: Option<&str>) -> String {
    format!("the order is {}, the other {}", order.state().as_str_name(), found.unwrap_or("absent"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::Bucket;
    use trellis_api::inventory::v1::ReservationLine;
    use trellis_api::shop::v1::OrderItem;
    use trellis_api::r#type::v1 as wire;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    fn pounds(minor_units: i64) -> wire::Money {
        wire::Money { currency_code: "GBP".into(), minor_units }
    }

    /// One order in this state, with a payment and a reservation in those.
    fn shop(state: State, money: Money, stock: Stock) -> (Facts, Uuid) {
        let mut facts = Facts::empty(NOW);
        let id = OrderId::new(NOW - Duration::hours(1), Bucket::new(7).unwrap());
        let time = Some(timestamp::to_proto(NOW - Duration::hours(1)));
        let order = Order {
            order_id: id.to_string(),
            items: vec![OrderItem { sku: "MUG".into(), quantity: 2, ..OrderItem::default() }],
            total: Some(pounds(500)),
            state: state.into(),
            update_time: time,
            ..Order::default()
        };
        facts.orders.insert(id.uuid(), AuditedOrder { order: Some(order), ..Default::default() });
        facts.payments.insert(
            id.uuid(),
            Payment {
                amount: Some(pounds(500)),
                state: money.into(),
                create_time: time,
                ..Payment::default()
            },
        );
        facts.reservations.insert(
            id.uuid(),
            Reservation {
                state: stock.into(),
                lines: vec![ReservationLine { sku: "MUG".into(), quantity: 2 }],
                ..Reservation::default()
            },
        );
        facts.learned.insert(id.uuid());
        (facts, id.uuid())
    }

    fn violations(facts: &Facts) -> Vec<String> {
        let broken = check(facts).into_iter().filter(|check| !check.violations.is_empty());
        broken.map(|check| check.invariant).collect()
    }

    #[test]
    fn a_shop_whose_records_agree_has_no_violation() {
        for (state, money, stock) in [
            (State::Confirmed, Money::Captured, Stock::Committed),
            (State::Refunded, Money::Refunded, Stock::Restocked),
            (State::Cancelled, Money::Declined, Stock::Released),
            (State::Cancelled, Money::Voided, Stock::Restocked),
            (State::Cancelled, Money::Unspecified, Stock::Rejected),
        ] {
            assert_eq!(violations(&shop(state, money, stock).0), Vec::<String>::new(), "{state:?}");
        }
    }

    #[test]
    fn every_way_to_disagree_is_found() {
        let payment = "every settled order agrees with its payment";
        let reservation = "every settled order agrees with its reservation";
        for (state, money, stock, broken) in [
            (State::Confirmed, Money::Authorized, Stock::Committed, payment),
            (State::Confirmed, Money::Voided, Stock::Committed, payment),
            (State::Cancelled, Money::Captured, Stock::Released, payment),
            (State::Refunded, Money::Captured, Stock::Restocked, payment),
            (State::Confirmed, Money::Captured, Stock::Held, reservation),
            (State::Cancelled, Money::Voided, Stock::Held, reservation),
            (State::Cancelled, Money::Voided, Stock::Committed, reservation),
        ] {
            assert_eq!(violations(&shop(state, money, stock).0), [broken], "{state:?} {money:?}");
        }
    }

    #[test]
    fn other_amounts_and_other_lines_are_found() {
        let (mut facts, uuid) = shop(State::Confirmed, Money::Captured, Stock::Committed);
        facts.payments.get_mut(&uuid).unwrap().amount = Some(pounds(499));
        assert_eq!(violations(&facts), ["every settled order agrees with its payment"]);

        let (mut facts, uuid) = shop(State::Confirmed, Money::Captured, Stock::Committed);
        facts.reservations.get_mut(&uuid).unwrap().lines[0].quantity = 1;
        assert_eq!(violations(&facts), ["every settled order agrees with its reservation"]);
    }

    #[test]
    fn a_lost_order_and_an_unheard_one_are_found() {
        let (mut facts, uuid) = shop(State::Confirmed, Money::Captured, Stock::Committed);
        facts.learned.clear();
        assert_eq!(violations(&facts), ["every confirmed order was learned from"]);
        facts.forgotten_until = Some(NOW);
        assert_eq!(violations(&facts), Vec::<String>::new(), "it was forgotten on purpose");

        facts.orders.remove(&uuid);
        assert_eq!(
            violations(&facts),
            [
                "no money is taken or blocked without an order",
                "no stock is held or sold without an order"
            ]
        );
    }

    #[test]
    fn work_under_way_is_no_violation() {
        let (mut facts, uuid) = shop(State::Pending, Money::Authorized, Stock::Held);
        facts.orders.get_mut(&uuid).unwrap().in_progress = true;
        assert_eq!(violations(&facts), Vec::<String>::new());

        facts.orders.clear();
        facts.now = NOW - Duration::hours(2);
        assert_eq!(violations(&facts), Vec::<String>::new(), "it came after the orders were read");
    }
}
