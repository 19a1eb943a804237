//! Requests that cannot be taken, and what they are told.

use prost_types::Duration;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;
use trellis_api::error;
use trellis_api::inventory::v1 as pb;
use trellis_api::shop::v1::Product;
use trellis_api::r#type::v1::Money;

use crate::fixture::{Stockroom, import, wish};

/// The fields that a request was refused for.
fn fields<T>(answer: Result<Response<T>, Status>) -> Vec<String> {
    let status = answer.err().expect("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(error::reason(&status).as_deref(), Some("INVALID_FIELD"));
    let request = status.get_details_bad_request().unwrap();
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn a_reserve_is_refused_with_the_names_of_all_bad_fields() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let good = || wish(room.new_id(), &[("MUG", 1)]);
    let lines = |lines: &[(&str, i32)]| wish(room.new_id(), lines);
    let ttl = |seconds, nanos| pb::ReserveStockRequest {
        ttl: Some(Duration { seconds, nanos }),
        ..good()
    };
    let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
    let many: Vec<(&str, i32)> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    let order = "order_01h455vb4pex5vsknk084sn02q";

    let cases: Vec<(pb::ReserveStockRequest, &[&str])> = vec![
        (pb::ReserveStockRequest { reservation_id: String::new(), ..good() }, &["reservation_id"]),
        (pb::ReserveStockRequest { reservation_id: order.into(), ..good() }, &["reservation_id"]),
        (lines(&[]), &["lines"]),
        (lines(&many), &["lines"]),
        (lines(&[("MUG", 0)]), &["lines[0].quantity"]),
        (lines(&[("MUG", -1)]), &["lines[0].quantity"]),
        (lines(&[("MUG", 100_001)]), &["lines[0].quantity"]),
        (lines(&[("MUG", i32::MAX)]), &["lines[0].quantity"]),
        (lines(&[("MUG", 1), ("mug", 1)]), &["lines[1].sku"]),
        (
            lines(&[("", 0), ("MUG", 0)]),
            &["lines[0].sku", "lines[0].quantity", "lines[1].quantity"],
        ),
        (lines(&[("MUG", 1), ("TEA", 1), ("MUG", 2)]), &["lines[2].sku"]),
        (lines(&[("MUG\",\"TEA", 1)]), &["lines[0].sku"]),
        (ttl(0, 0), &["ttl"]),
        (ttl(-1, 0), &["ttl"]),
        (ttl(1, -1), &["ttl"]),
        (ttl(3_600, 1), &["ttl"]),
        (ttl(i64::MAX, i32::MAX), &["ttl"]),
        (pb::ReserveStockRequest::default(), &["reservation_id", "lines"]),
    ];
    let mut client = room.client.clone();
    for (request, expected) in cases {
        assert_eq!(fields(client.reserve_stock(request.clone()).await), expected, "{request:?}");
    }
    assert_eq!(room.available("MUG").await, 10);
}

#[tokio::test]
async fn a_reservation_has_to_be_named() {
    let mut room = Stockroom::empty().await;

    for text in ["", "reservation_", "order_01h455vb4pex5vsknk084sn02q", "'; --"] {
        let reservation_id = text.to_owned();
        let commit = pb::CommitReservationRequest { reservation_id: reservation_id.clone() };
        let release = pb::ReleaseReservationRequest { reservation_id: reservation_id.clone() };
        let restock = pb::RestockReservationRequest { reservation_id: reservation_id.clone() };
        let get = pb::GetReservationRequest { reservation_id };
        assert_eq!(fields(room.client.commit_reservation(commit).await), ["reservation_id"]);
        assert_eq!(fields(room.client.release_reservation(release).await), ["reservation_id"]);
        assert_eq!(fields(room.client.restock_reservation(restock).await), ["reservation_id"]);
        assert_eq!(fields(room.client.get_reservation(get).await), ["reservation_id"]);
    }
}

#[tokio::test]
async fn an_import_is_refused_with_the_names_of_all_bad_fields() {
    let mut room = Stockroom::empty().await;
    let good = || import("MUG", 1);
    let with = |change: &dyn Fn(&mut Product)| {
        let mut import = good();
        change(import.product.as_mut().unwrap());
        vec![import]
    };
    let priced = |currency: &str, minor_units| {
        let currency_code = currency.to_owned();
        let price = Some(Money { currency_code, minor_units });
        with(&|product| product.price = price.clone())
    };
    let stocked = |on_hand| vec![pb::ProductImport { on_hand, ..good() }];
    let titled = |title: &str| with(&|product| title.clone_into(&mut product.title));

    let cases: Vec<(Vec<pb::ProductImport>, &[&str])> = vec![
        (vec![pb::ProductImport { product: None, on_hand: 1 }], &["products[0].product"]),
        (with(&|product| product.sku = "mug".into()), &["products[0].product.sku"]),
        (titled("  "), &["products[0].product.title"]),
        (titled(&"x".repeat(201)), &["products[0].product.title"]),
        (titled("two\nlines"), &["products[0].product.title"]),
        (titled("a nul\0"), &["products[0].product.title"]),
        (with(&|product| product.price = None), &["products[0].product.price"]),
        (priced("pounds", 1), &["products[0].product.price"]),
        (priced("GBP", 0), &["products[0].product.price.minor_units"]),
        (priced("GBP", -1), &["products[0].product.price.minor_units"]),
        (priced("GBP", i64::MAX), &["products[0].product.price.minor_units"]),
        (stocked(-1), &["products[0].on_hand"]),
        (stocked(1_000_000_001), &["products[0].on_hand"]),
        (vec![good(), import("TEA", 1), good()], &["products[2].product.sku"]),
        (vec![good(); 1_001], &["products"]),
        (
            vec![good(), pb::ProductImport { product: Some(Product::default()), on_hand: -1 }],
            &[
                "products[1].product.sku",
                "products[1].product.title",
                "products[1].product.price",
                "products[1].on_hand",
            ],
        ),
    ];
    for (products, expected) in cases {
        let request = pb::UpsertProductsRequest { products };
        assert_eq!(fields(room.client.upsert_products(request).await), expected);
    }
    assert_eq!(room.page("", 0, "").await.unwrap().0, Vec::<String>::new());
}

#[tokio::test]
async fn an_adjustment_is_refused_with_the_names_of_all_bad_fields() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let request = "018f6f3e-0000-7000-8000-000000000001";
    let nil = "00000000-0000-0000-0000-000000000000";

    let cases: &[(&str, i64, &str, &[&str])] = &[
        ("mug", 1, request, &["sku"]),
        ("MUG", 0, request, &["delta"]),
        ("MUG", 1_000_000_001, request, &["delta"]),
        ("MUG", -1_000_000_001, request, &["delta"]),
        ("MUG", i64::MIN, request, &["delta"]),
        ("MUG", 1, "", &["request_id"]),
        ("MUG", 1, nil, &["request_id"]),
        ("MUG", 1, "not-a-uuid", &["request_id"]),
        ("", 0, "", &["sku", "delta", "request_id"]),
    ];
    for &(sku, delta, request_id, expected) in cases {
        let request = pb::AdjustStockRequest {
            sku: sku.to_owned(),
            delta,
            request_id: request_id.to_owned(),
        };
        assert_eq!(fields(room.client.adjust_stock(request).await), expected);
    }
    assert_eq!(room.available("MUG").await, 10);
}

#[tokio::test]
async fn a_look_up_is_refused_with_the_names_of_all_bad_fields() {
    let mut room = Stockroom::empty().await;
    let get = |skus: &[&str]| pb::BatchGetProductsRequest {
        skus: skus.iter().map(|&sku| sku.to_owned()).collect(),
        for_display: false,
    };
    let list = |query: &str, page_size, page_token: &str| pb::ListProductsRequest {
        query: query.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    let long = "x".repeat(201);

    let mut client = room.client.clone();
    let skus = fields(client.batch_get_products(get(&["MUG", "mug", ""])).await);
    assert_eq!(skus, ["skus[1]", "skus[2]"]);
    assert_eq!(fields(client.batch_get_products(get(&["MUG"; 1_001])).await), ["skus"]);
    assert_eq!(fields(client.list_products(list("", 101, "x")).await), ["page_size", "page_token"]);
    assert_eq!(
        fields(client.list_products(list(&long, -1, "x")).await),
        ["page_size", "page_token", "query"]
    );
    assert_eq!(room.products(&[]).await, []);
}

#[tokio::test]
async fn settings_out_of_range_stop_the_start() {
    use trellis_inventory::{Settings, start};

    let room = Stockroom::empty().await;
    let sound = Settings::default;
    for settings in [
        Settings { reservation_ttl_seconds: 0, ..sound() },
        Settings { reservation_ttl_seconds: 3_601, ..sound() },
        Settings { expiry_interval_milliseconds: 0, ..sound() },
        Settings { expiry_interval_milliseconds: 30_001, ..sound() },
    ] {
        let needs = crate::kit::needs(&room.store, &room.clock, &room.shutdown);
        assert!(start(&settings, needs, &room.shutdown).await.is_err(), "{settings:?}");
    }
}
