//! What an audit finds, asked of each store.

use std::time::Duration;

use trellis_order::saga::Step;
use trellis_order::store::{Check, Postponement};
use trellis_testkit::Database;

use super::ground::customer;
use super::records::{Records, begin, checkout, confirmed, lease, rest};

async fn rows_that_contradict_each_other_are_found(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    let sold = records.begun().await;
    store.end(sold.hold(), confirmed(&sold, now)).await.unwrap().unwrap();
    let lost = records.begun().await;
    let hopeless = records.begun().await;
    let away = Postponement { step: Some(Step::Reserve), next_attempt_time: None, ..rest(now) };
    assert!(store.postpone(hopeless.hold(), away).await.unwrap());
    let tampering = "
        DELETE FROM sagas WHERE state = 'running';
        UPDATE sagas SET state = 'running' WHERE state = 'done';
    ";
    records.database.tamper(tampering).await;
    let slow = records.begun().await;
    let later = now + Duration::from_mins(6);

    let checks = store.audit(later).await.unwrap();

    let running = "its checkout is running at its start after 0 attempts: no error";
    let waiting = "its checkout is needs_operator at reserve after 1 attempts: away";
    let untold = format!("1 events wait, the oldest since {now}");
    let [sold, lost, hopeless, slow] =
        [sold, lost, hopeless, slow].map(|saga| saga.order.order_id.to_string());
    let expected = [
        check("no saga is stuck", 3, &[(&sold, running), (&hopeless, waiting), (&slow, running)]),
        check(
            "every final order has an ended saga",
            1,
            &[(&sold, "the order is confirmed, its checkout is running")],
        ),
        check("every pending order has a saga at work", 3, &[(&lost, "its checkout is missing")]),
        check("no request made two orders", 4, &[]),
        check("no event of an order is undelivered", 1, &[("outbox", &untold)]),
    ];
    assert_eq!(checks.into_iter().map(sorted).collect::<Vec<_>>(), expected);
}

fn check(invariant: &'static str, examined: i64, violations: &[(&str, &str)]) -> Check {
    let violation = |&(subject, detail): &(&str, &str)| (subject.to_owned(), detail.to_owned());
    sorted(Check { invariant, examined, violations: violations.iter().map(violation).collect() })
}

fn sorted(mut check: Check) -> Check {
    check.violations.sort();
    check
}

async fn orders_are_audited_in_one_order_from_wherever(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    for _ in 0..5 {
        begin(store, &checkout(customer(), now), lease(now)).await;
    }
    let ids = async |after| {
        let orders = store.audited_orders(after).await.unwrap();
        orders.into_iter().map(|audited| audited.order.order_id).collect::<Vec<_>>()
    };

    let all = ids(None).await;

    assert_eq!(all.len(), 5);
    for (index, id) in all.iter().enumerate() {
        assert_eq!(ids(Some(*id)).await, all[index + 1..]);
    }
}

async fn open(database: &Database) -> Records<'_> {
    Records::open(database).await
}

trellis_testkit::on_each_database! {
    open:
    rows_that_contradict_each_other_are_found,
    orders_are_audited_in_one_order_from_wherever,
}
