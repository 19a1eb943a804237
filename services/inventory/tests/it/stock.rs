//! Imports and adjustments.

use tonic::Code;
use trellis_api::error::metadata;
use trellis_api::inventory::v1 as pb;

use crate::fixture::{Stockroom, import, refusal, titled};

const REQUEST: &str = "018f6f3e-0000-7000-8000-000000000001";
const OTHER_REQUEST: &str = "018f6f3e-0000-7000-8000-000000000002";

#[tokio::test]
async fn an_import_adds_what_is_new_and_changes_what_exists() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let before = room.products(&["MUG"]).await;
    room.advance(1);

    let done = room.import(vec![titled("MUG", " A mug ", 7), import("TEA", 0)]).await.unwrap();

    assert_eq!(done, pb::UpsertProductsResponse { created: 1, updated: 1 });
    let products = room.products(&["MUG", "TEA"]).await;
    let titles: Vec<&str> =
        products.iter().map(|stocked| stocked.product.as_ref().unwrap().title.as_str()).collect();
    assert_eq!(titles, ["A mug", "The TEA of your dreams"]);
    assert_eq!((products[0].available, products[1].available), (7, 0));
    let update_time = |stocked: &pb::StockedProduct| stocked.product.as_ref().unwrap().update_time;
    assert_ne!(update_time(&products[0]), update_time(&before[0]));
    room.assert_sound().await;
}

#[tokio::test]
async fn an_entry_that_stays_the_same_keeps_its_time() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let before = room.products(&["MUG"]).await;
    room.advance(1);

    room.import(vec![import("MUG", 99)]).await.unwrap();

    let after = room.products(&["MUG"]).await;
    assert_eq!(after[0].product, before[0].product);
    assert_eq!(after[0].available, 99);
}

#[tokio::test]
async fn a_changed_entry_is_newer_even_without_time() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let time = |products: &[pb::StockedProduct]| {
        let time = products[0].product.as_ref().unwrap().update_time.unwrap();
        (time.seconds, time.nanos)
    };
    let before = time(&room.products(&["MUG"]).await);

    room.import(vec![titled("MUG", "Another mug", 10)]).await.unwrap();

    assert!(before < time(&room.products(&["MUG"]).await));
}

#[tokio::test]
async fn an_import_keeps_what_is_reserved_and_is_all_or_none() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    let refused = room.import(vec![import("TEA", 5), import("MUG", 3)]).await.unwrap_err();

    assert_eq!(metadata(&refused, "sku").as_deref(), Some("MUG"));
    assert_eq!(
        refusal::<()>(Err(refused)),
        (Code::FailedPrecondition, "STOCK_RESERVED".to_owned())
    );
    assert_eq!(room.products(&["TEA"]).await, []);
    room.import(vec![import("MUG", 4)]).await.unwrap();
    assert_eq!(room.available("MUG").await, 0);
    room.commit(id).await.unwrap();
    room.assert_sound().await;
}

#[tokio::test]
async fn products_come_in_the_order_asked_for_and_unknown_ones_not_at_all() {
    let mut room = Stockroom::with(&[("A", 1), ("B", 2)]).await;

    let products = room.products(&["B", "NONE", "A", "B"]).await;

    assert_eq!(products.iter().map(|stocked| stocked.available).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(room.products(&[]).await, []);
}

#[tokio::test]
async fn a_repeated_adjustment_happens_once() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    let first = room.adjust(REQUEST, "MUG", 5).await.unwrap();
    let between = room.adjust(OTHER_REQUEST, "MUG", -1).await.unwrap();
    let again = room.adjust(REQUEST, "MUG", 5).await.unwrap();

    assert_eq!(first, pb::AdjustStockResponse { on_hand: 15, available: 11 });
    assert_eq!(between, pb::AdjustStockResponse { on_hand: 14, available: 10 });
    assert_eq!(again, first);
    assert_eq!(room.available("MUG").await, 10);
    assert_eq!(
        refusal(room.adjust(REQUEST, "MUG", 6).await),
        (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED".to_owned())
    );
    room.assert_sound().await;
}

#[tokio::test]
async fn an_adjustment_cannot_take_what_is_reserved_and_its_refusal_stands() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    let first = room.adjust(REQUEST, "MUG", -7).await.unwrap_err();
    room.release(id).await.unwrap();
    let again = room.adjust(REQUEST, "MUG", -7).await.unwrap_err();

    for status in [first, again] {
        assert_eq!(metadata(&status, "available").as_deref(), Some("6"));
        assert_eq!(metadata(&status, "requested").as_deref(), Some("7"));
        assert_eq!(
            refusal::<()>(Err(status)),
            (Code::FailedPrecondition, "INSUFFICIENT_STOCK".to_owned())
        );
    }
    assert_eq!(room.available("MUG").await, 10);
}

#[tokio::test]
async fn an_adjustment_of_nothing_that_exists_leaves_no_trace() {
    let mut room = Stockroom::with(&[("MUG", 1_000_000_000)]).await;

    assert_eq!(
        refusal(room.adjust(REQUEST, "TEA", 1).await),
        (Code::NotFound, "PRODUCT_NOT_FOUND".to_owned())
    );
    assert_eq!(
        refusal(room.adjust(OTHER_REQUEST, "MUG", 1).await),
        (Code::FailedPrecondition, "STOCK_LIMIT_EXCEEDED".to_owned())
    );
    room.import(vec![import("TEA", 1)]).await.unwrap();
    assert_eq!(room.adjust(REQUEST, "TEA", 1).await.unwrap().on_hand, 2);
}
