//! The life of a reservation, and every call repeated or late.

use tonic::Code;
use trellis_api::error::metadata;
use trellis_api::inventory::v1::reservation::State;
use trellis_api::timestamp;

use crate::fixture::{Stockroom, refusal, wish};

const PRECONDITION: Code = Code::FailedPrecondition;

#[tokio::test]
async fn a_reservation_holds_its_units_for_fifteen_minutes() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 5)]).await;
    let id = room.new_id();

    let reservation = room.reserve(id, &[("TEA", 2), ("MUG", 3)]).await.unwrap();

    let expire_time = timestamp::from_proto(&reservation.expire_time.unwrap()).unwrap();
    assert_eq!(expire_time, time::macros::datetime!(2026-11-22 10:15 UTC));
    assert_eq!(reservation.state(), State::Held);
    assert_eq!(
        reservation.lines.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(),
        ["MUG", "TEA"]
    );
    assert_eq!(room.available("MUG").await, 7);
    assert_eq!(room.available("TEA").await, 3);
    assert_eq!(room.get(id).await.unwrap(), reservation);
    room.assert_sound().await;
}

#[tokio::test]
async fn a_repeated_request_holds_stock_once_whatever_the_order_of_its_lines() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 5)]).await;
    let id = room.new_id();

    let first = room.reserve(id, &[("MUG", 6), ("TEA", 1)]).await.unwrap();
    room.advance(60);
    let again = room.reserve(id, &[("TEA", 1), ("MUG", 6)]).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(room.available("MUG").await, 4);
}

#[tokio::test]
async fn an_id_cannot_be_used_for_other_lines() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 5)]).await;
    let (held, rejected) = (room.new_id(), room.new_id());
    room.reserve(held, &[("MUG", 6)]).await.unwrap();
    room.reserve(rejected, &[("MUG", 6)]).await.unwrap_err();

    let reused = (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED".to_owned());
    assert_eq!(refusal(room.reserve(held, &[("MUG", 5)]).await), reused);
    assert_eq!(refusal(room.reserve(held, &[("TEA", 6)]).await), reused);
    assert_eq!(refusal(room.reserve(held, &[("MUG", 6), ("TEA", 1)]).await), reused);
    assert_eq!(refusal(room.reserve(rejected, &[("MUG", 1)]).await), reused);
    room.release(held).await.unwrap();
    assert_eq!(refusal(room.reserve(held, &[("MUG", 5)]).await), reused);
}

#[tokio::test]
async fn all_lines_are_held_or_none_and_the_refusal_stands() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 1)]).await;
    let id = room.new_id();

    let first = room.reserve(id, &[("MUG", 3), ("TEA", 2)]).await.unwrap_err();
    assert_eq!(room.available("MUG").await, 10);
    room.adjust("018f6f3e-0000-7000-8000-000000000001", "TEA", 100).await.unwrap();
    let again = room.reserve(id, &[("MUG", 3), ("TEA", 2)]).await.unwrap_err();

    for status in [first, again] {
        assert_eq!(status.message(), "TEA is out of stock");
        assert_eq!(metadata(&status, "sku").as_deref(), Some("TEA"));
        assert_eq!(metadata(&status, "requested").as_deref(), Some("2"));
        assert_eq!(metadata(&status, "available").as_deref(), Some("1"));
        assert_eq!(refusal::<()>(Err(status)), (PRECONDITION, "OUT_OF_STOCK".to_owned()));
    }
    assert_eq!(room.available("MUG").await, 10);
    let rejected = room.get(id).await.unwrap();
    assert_eq!((rejected.state(), rejected.lines.len()), (State::Rejected, 0));
    assert_eq!(room.release(id).await.unwrap().state(), State::Rejected);
    assert_eq!(refusal(room.commit(id).await), (PRECONDITION, "RESERVATION_REJECTED".to_owned()));
}

#[tokio::test]
async fn an_unknown_product_is_out_of_stock() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();

    let status = room.reserve(id, &[("MUG", 1), ("NONE", 1)]).await.unwrap_err();

    assert_eq!(metadata(&status, "sku").as_deref(), Some("NONE"));
    assert_eq!(metadata(&status, "available").as_deref(), Some("0"));
    assert_eq!(refusal::<()>(Err(status)), (PRECONDITION, "OUT_OF_STOCK".to_owned()));
}

#[tokio::test]
async fn a_committed_reservation_is_sold_once_and_for_good() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    let first = room.commit(id).await.unwrap();
    room.advance(3_600);
    let again = room.commit(id).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(first.state(), State::Committed);
    assert_eq!(room.available("MUG").await, 6);
    assert_eq!(room.reserve(id, &[("MUG", 4)]).await.unwrap(), first);
    assert_eq!(refusal(room.release(id).await), (PRECONDITION, "RESERVATION_COMMITTED".to_owned()));
    room.assert_sound().await;
}

#[tokio::test]
async fn a_released_reservation_gives_its_units_back_once() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    let first = room.release(id).await.unwrap();
    let again = room.release(id).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(first.state(), State::Released);
    assert_eq!(room.available("MUG").await, 10);
    let released = (PRECONDITION, "RESERVATION_RELEASED".to_owned());
    assert_eq!(refusal(room.reserve(id, &[("MUG", 4)]).await), released);
    assert_eq!(refusal(room.commit(id).await), released);
    room.assert_sound().await;
}

#[tokio::test]
async fn a_reserve_that_comes_after_its_release_is_refused() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();

    let tombstone = room.release(id).await.unwrap();
    assert_eq!(tombstone, room.release(id).await.unwrap());

    assert_eq!((tombstone.state(), tombstone.expire_time), (State::Released, None));
    let released = (PRECONDITION, "RESERVATION_RELEASED".to_owned());
    assert_eq!(refusal(room.reserve(id, &[("MUG", 4)]).await), released);
    assert_eq!(refusal(room.commit(id).await), released);
    assert_eq!(room.available("MUG").await, 10);
    room.assert_sound().await;
}

#[tokio::test]
async fn only_what_was_sold_can_be_put_back_and_only_once() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let (sold, held) = (room.new_id(), room.new_id());
    room.reserve(sold, &[("MUG", 4)]).await.unwrap();
    room.commit(sold).await.unwrap();
    room.reserve(held, &[("MUG", 1)]).await.unwrap();

    let first = room.restock(sold).await.unwrap();
    let again = room.restock(sold).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(first.state(), State::Restocked);
    assert_eq!(room.available("MUG").await, 9);
    assert_eq!(room.commit(sold).await.unwrap().state(), State::Restocked);
    assert_eq!(
        refusal(room.restock(held).await),
        (PRECONDITION, "RESERVATION_NOT_COMMITTED".to_owned())
    );
    assert_eq!(
        refusal(room.release(sold).await),
        (PRECONDITION, "RESERVATION_COMMITTED".to_owned())
    );
    room.assert_sound().await;
}

#[tokio::test]
async fn what_nobody_reserved_is_not_found() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();

    let unknown = (Code::NotFound, "RESERVATION_NOT_FOUND".to_owned());
    assert_eq!(refusal(room.commit(id).await), unknown);
    assert_eq!(refusal(room.restock(id).await), unknown);
    assert_eq!(refusal(room.get(id).await), unknown);
}

#[tokio::test]
async fn the_largest_reservation_goes_through_its_whole_life() {
    let skus: Vec<String> = (0..1_000).map(|number| format!("SKU-{number:04}")).collect();
    let stock: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 100_000)).collect();
    let lines: Vec<(&str, i32)> = skus.iter().map(|sku| (sku.as_str(), 100_000)).collect();
    let mut room = Stockroom::with(&stock).await;
    let id = room.new_id();

    assert_eq!(room.reserve(id, &lines).await.unwrap().lines.len(), 1_000);
    assert_eq!(room.available("SKU-0999").await, 0);
    room.commit(id).await.unwrap();
    room.restock(id).await.unwrap();

    assert_eq!(room.available("SKU-0000").await, 100_000);
    room.assert_sound().await;
}

#[tokio::test]
async fn a_reservation_may_be_shorter_or_longer_than_usual() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let (brief, long) = (room.new_id(), room.new_id());
    for (id, seconds) in [(brief, 60), (long, 3_600)] {
        let ttl = Some(prost_types::Duration { seconds, nanos: 0 });
        let request =
            trellis_api::inventory::v1::ReserveStockRequest { ttl, ..wish(id, &[("MUG", 1)]) };
        room.client.reserve_stock(request).await.unwrap();
    }

    room.advance(3_599);

    assert_eq!(refusal(room.commit(brief).await), (PRECONDITION, "RESERVATION_EXPIRED".to_owned()));
    room.commit(long).await.unwrap();
}
