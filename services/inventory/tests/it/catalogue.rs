//! The catalogue, page by page.

use tonic::Code;

use crate::fixture::{Stockroom, import, refusal};

const INVALID: Code = Code::InvalidArgument;

async fn room_of(products: usize) -> Stockroom {
    let mut room = Stockroom::empty().await;
    let products = (0..products).map(|number| import(&format!("SKU-{number:03}"), 1)).collect();
    room.import(products).await.unwrap();
    room
}

#[tokio::test]
async fn the_catalogue_is_listed_by_sku_twenty_at_a_time() {
    let mut room = room_of(45).await;

    let (first, token) = room.page("", 0, "").await.unwrap();
    let (second, token) = room.page(" ", 0, &token).await.unwrap();
    let (third, end) = room.page("", 0, &token).await.unwrap();

    assert_eq!((first.len(), second.len(), third.len()), (20, 20, 5));
    let all = [first, second, third].concat();
    assert!(all.is_sorted());
    assert_eq!(end, "");
}

#[tokio::test]
async fn a_full_last_page_is_the_last() {
    let mut room = room_of(20).await;

    let (skus, token) = room.page("", 20, "").await.unwrap();

    assert_eq!((skus.len(), token.as_str()), (20, ""));
}

#[tokio::test]
async fn nothing_is_skipped_or_repeated_while_the_catalogue_grows() {
    let mut room = room_of(10).await;

    let (first, token) = room.page("", 5, "").await.unwrap();
    room.import(vec![import("SKU-0005", 1), import("SKU-0045", 1)]).await.unwrap();
    let (second, _) = room.page("", 10, &token).await.unwrap();

    assert_eq!(first.last().unwrap(), "SKU-004");
    assert_eq!(second, ["SKU-0045", "SKU-005", "SKU-006", "SKU-007", "SKU-008", "SKU-009"]);
}

#[tokio::test]
async fn a_page_of_results_begins_where_the_one_before_ended() {
    let mut room = room_of(25).await;

    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let (skus, next) = room.page("dreams", 7, &token).await.unwrap();
        found.extend(skus);
        token = next;
        if token.is_empty() {
            break;
        }
    }

    let (whole, _) = room.page("dreams", 100, "").await.unwrap();
    assert_eq!(found, whole);
    assert_eq!(found.len(), 25);
}

#[tokio::test]
async fn a_token_continues_only_the_call_that_gave_it() {
    let mut room = room_of(5).await;
    let (_, list) = room.page("", 2, "").await.unwrap();
    let (_, search) = room.page("dreams", 2, "").await.unwrap();

    let refused = (INVALID, "INVALID_FIELD".to_owned());
    assert_eq!(refusal(room.page("dreams", 2, &list).await), refused);
    assert_eq!(refusal(room.page("", 2, &search).await), refused);
    assert_eq!(refusal(room.page("dream", 2, &search).await), refused);
    for garbage in ["x", "%", "AAAAAAAAAAAAAAAAAAAAAAAA", &list[1..], &"A".repeat(5_000)] {
        assert_eq!(refusal(room.page("", 2, garbage).await), refused, "{garbage}");
    }
}
