//! Two processes on one Postgres database, at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{join, join_all};
use trellis_order::domain::{MAX_LINES, State};
use trellis_order::saga::Saga;
use trellis_order::store::{Cancel, Cancelling, CheckoutRequest, Ended, Known, Store};
use trellis_storage::Options;
use trellis_storage::idempotency::Fingerprint;
use trellis_testkit::Database;
use uuid::Uuid;

use super::ground::open_store;
use super::records::{Records, confirmed, lease};

/// The stores of two processes, each with so many connections.
///
/// They are made one by one: a race is one only if nobody waits for a connection.
async fn processes(database: &Database, connections: u32) -> [Arc<dyn Store>; 2] {
    let options = Options { connections, ..Options::default() };
    let open = async || {
        let store = open_store(database, &options).await;
        for connections in 1..=connections {
            let looks = join_all((0..connections).map(|_| store.backlog())).await;
            assert!(looks.iter().all(Result::is_ok));
        }
        store
    };
    [open().await, open().await]
}

#[tokio::test]
async fn each_due_saga_is_claimed_once() {
    let Some(database) = Database::postgres().await else { return };
    let records = Records::open(&database).await;
    let processes = processes(&database, 16).await;
    let abandon = futures::stream::iter((0..100).map(|_| records.abandoned()));
    let ids: BTreeSet<_> =
        abandon.buffer_unordered(8).map(|saga| saga.order.order_id).collect().await;
    records.clock.advance(Duration::from_secs(1));
    let now = records.now();

    let claims = (0..32).map(|number| processes[number % 2].claim_due(lease(now), now, 10));
    let claimed: Vec<Saga> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();

    assert_eq!(claimed.len(), 100);
    assert!(claimed.iter().all(|saga| saga.fence == 2));
    assert_eq!(claimed.iter().map(|saga| saga.order.order_id).collect::<BTreeSet<_>>(), ids);
}

#[tokio::test]
async fn equal_requests_begin_one_order() {
    let Some(database) = Database::postgres().await else { return };
    let records = Records::open(&database).await;
    let processes = processes(&database, 32).await;
    let now = records.now();
    let (user_id, request_id) = (records.user_id, Uuid::new_v4());
    let fingerprint = Fingerprint::of(&[]);
    let buy = async |number: usize| {
        let process = &processes[number % 2];
        let found = process.find(CheckoutRequest { user_id, request_id, fingerprint }).await;
        let mut saga = records.checkout();
        saga.order.request_id = request_id;
        let begun = process.begin(saga.clone(), fingerprint, lease(now)).await;
        (saga.order.order_id, found.unwrap(), begun.unwrap())
    };

    let bought = join_all((0..64).map(buy)).await;

    let new: Vec<_> = bought.iter().filter(|(_, _, known)| known.is_none()).collect();
    let [&(order_id, _, _)] = new[..] else { panic!("{} began an order", new.len()) };
    for known in bought.iter().flat_map(|(_, found, begun)| [found, begun]).flatten() {
        assert!(matches!(known, Known::Running(id) if *id == order_id), "{known:?}");
    }
    assert_eq!(records.store.orders(user_id, None, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_sale_that_is_cancelled_as_it_ends_is_refunded_once() {
    let Some(database) = Database::postgres().await else { return };
    let records = Records::open(&database).await;
    let processes = processes(&database, 16).await;
    let now = records.now();
    let sagas = join_all((0..8).map(|_| records.begun())).await;

    // Each end meets four wishes, of which some come before it and some after.
    let ends = sagas.iter().map(|saga| processes[0].end(saga.hold(), confirmed(saga, now)));
    let wishes = sagas.iter().flat_map(|saga| [saga; 4]).map(|saga| {
        let Saga { order, .. } = saga;
        processes[1].request_cancel(Cancel {
            user_id: order.user_id,
            order_id: order.order_id,
            request_id: Uuid::new_v4(),
            lease: Some(lease(now)),
            now,
        })
    });
    let (ends, wishes) = join(join_all(ends), join_all(wishes)).await;

    let ended = ends.into_iter().map(|ended| {
        let Ended { refund } = ended.unwrap().unwrap();
        refund
    });
    let noted = wishes.into_iter().map(|noted| match noted.unwrap() {
        Cancelling::Noted { refund, .. } => refund,
        other => panic!("{other:?}"),
    });
    let refunds: Vec<_> = ended.chain(noted).flatten().map(|refund| refund.order).collect();
    assert_eq!(refunds.len(), 8);
    assert!(refunds.iter().all(|order| order.state == State::Confirmed));
    let ids: BTreeSet<_> = refunds.iter().map(|order| order.order_id).collect();
    assert_eq!(ids, sagas.iter().map(|saga| saga.order.order_id).collect());
    assert_eq!(records.store.backlog().await.unwrap().open, 8);
}

#[tokio::test]
async fn a_cart_takes_no_line_too_many_and_begins_once() {
    let Some(database) = Database::postgres().await else { return };
    let records = Records::open(&database).await;
    let processes = processes(&database, 16).await;
    let now = records.now();
    let put = |prefix: &str, number: usize| {
        let sku = format!("{prefix}-{number}").parse().unwrap();
        processes[number % 2].set_cart_item(records.user_id, sku, 1.try_into().ok(), now)
    };

    let first = join_all((0..32).map(|number| put("FIRST", number))).await;
    let began = first.into_iter().filter(|put| put.as_ref().unwrap().as_ref().unwrap().was_empty);
    assert_eq!(began.count(), 1);

    let user_id = records.user_id;
    let room = 5;
    let fill = format!(
        "
        INSERT INTO carts (bucket, user_id, sku, quantity, update_time)
        SELECT {}, '{}', 'SKU-' || number, 1, now()
          FROM generate_series(1, {}) AS number
        ",
        user_id.bucket().get(),
        user_id.uuid(),
        MAX_LINES - 32 - room,
    );
    database.tamper(&fill).await;
    let more = join_all((0..32).map(|number| put("MORE", number))).await;

    let took = more.into_iter().filter(|put| put.as_ref().unwrap().is_some()).count();
    assert_eq!(took, room);
    assert_eq!(records.store.cart(user_id).await.unwrap().len(), MAX_LINES);
}
