//! Products, and what goes with them.
//!
//! A product page stands when a part of it cannot be had, and names that part. A
//! list has no such fallback, and its error passes on.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use trellis_api::inventory::v1 as inventory;
use trellis_api::recommendation::v1 as recommendation;
use trellis_api::shop::v1 as pb;
use trellis_api::{Sku, error};
use trellis_chassis::deadline;

use super::{Answer, Shop};
use crate::peers::Peers;
use crate::remembered::Remembered;

/// How many suggestions a product page shows.
const SUGGESTIONS: i32 = 6;
/// How long a product page waits for its suggestions, their look-up included.
const SUGGESTION_PATIENCE: Duration = Duration::from_millis(250);
/// How long it waits for the product itself.
const PRODUCT_PATIENCE: Duration = Duration::from_secs(2);

/// Suggestions that a page has to do without, or with those that are remembered.
struct Missing {
    cause: Status,
    /// What was suggested, if it came to that.
    skus: Vec<String>,
}

/// One page of the catalogue.
///
/// It has no fallback: which products match, and which page is the next, only the
/// inventory knows, and a list with holes would pass for the whole. The error passes
/// on, and the customer tries again.
pub(super) async fn list(
    peers: &Peers,
    request: pb::ListProductsRequest,
) -> Answer<pb::ListProductsResponse> {
    let pb::ListProductsRequest { query, page_size, page_token } = request;
    let request = inventory::ListProductsRequest { query, page_size, page_token };
    let page = peers.inventory.clone().list_products(request).await?.into_inner();
    let inventory::ListProductsResponse { products, next_page_token } = page;
    Ok(Response::new(pb::ListProductsResponse { products, next_page_token }))
}

/// The page of one product.
///
/// Without the inventory it is as it was last read, if that is remembered, and
/// without its suggestions it stands alone. It says so, and then nobody keeps it.
pub(super) async fn page(
    shop: &Shop,
    request: pb::GetProductRequest,
) -> Answer<pb::GetProductResponse> {
    let Shop { peers, remembered, views, meters, .. } = shop;
    let source = request.source();
    let sku: Sku = error::field("sku", &request.sku)?;
    let (product, suggestions) = tokio::join!(
        product(peers, remembered, &sku),
        suggestions(peers, remembered, request.sku),
    );
    let (stocked, is_remembered) = product?;
    views.note(sku);
    meters.viewed(source);

    let mut degraded = Vec::new();
    if is_remembered {
        degraded.push("inventory".to_owned());
    }
    let recommendations = suggestions.unwrap_or_else(|Missing { cause, skus }| {
        tracing::warn!(error = &cause as &dyn std::error::Error, "no suggestions for a product");
        // Beside a product as it is, nothing is shown as it was.
        let shown: Vec<pb::Product> = if is_remembered {
            skus.iter().filter_map(|sku| remembered.recall(sku)?.product).collect()
        } else {
            Vec::new()
        };
        if skus.is_empty() || shown.len() < skus.len() {
            degraded.push("recommendations".to_owned());
        }
        shown
    });
    meters.recommended(recommendations.len());
    meters.degraded(&degraded);
    let mut response = Response::new(pb::GetProductResponse {
        product: stocked.product,
        available: stocked.available,
        recommendations,
        degraded,
    });
    if !response.get_ref().degraded.is_empty() {
        do_not_keep(response.metadata_mut());
    }
    Ok(response)
}

/// Suggestions that are asked for by themselves.
///
/// They have no fallback: there is nothing beside them that could be shown, and an
/// empty list would say that nothing goes with the products. The error passes on.
pub(super) async fn recommend(
    shop: &Shop,
    request: pb::ListRecommendationsRequest,
) -> Answer<pb::ListRecommendationsResponse> {
    let Shop { peers, remembered, meters, .. } = shop;
    let pb::ListRecommendationsRequest { skus, page_size } = request;
    let request = recommendation::RecommendRequest { skus, page_size };
    let skus = peers.recommendation.clone().recommend(request).await?.into_inner().skus;
    let found = stocked(peers, remembered, skus, None).await?;
    let products = products(found);
    meters.recommended(products.len());
    Ok(Response::new(pb::ListRecommendationsResponse { products }))
}

/// The product as it is; or, with `true`, as it was when it was last read.
async fn product(
    peers: &Peers,
    remembered: &Remembered,
    sku: &Sku,
) -> Result<(inventory::StockedProduct, bool), Status> {
    let patience = Some(within(PRODUCT_PATIENCE));
    match stocked(peers, remembered, vec![sku.to_string()], patience).await {
        Ok(found) => {
            let found = found.into_iter().next();
            let found = found.ok_or_else(|| crate::error::product_not_found(sku.as_str()))?;
            Ok((found, false))
        }
        Err(cause) if is_passing(&cause) => {
            let Some(known) = remembered.recall(sku.as_str()) else { return Err(cause) };
            let error = &cause as &dyn std::error::Error;
            tracing::warn!(%sku, error, "a product is shown as it was last read");
            Ok((known, true))
        }
        Err(cause) => Err(cause),
    }
}

async fn suggestions(
    peers: &Peers,
    remembered: &Remembered,
    sku: String,
) -> Result<Vec<pb::Product>, Missing> {
    let until = Instant::now() + within(SUGGESTION_PATIENCE);
    let left = || until.saturating_duration_since(Instant::now());
    let request = recommendation::RecommendRequest { skus: vec![sku], page_size: SUGGESTIONS };
    let mut request = Request::new(request);
    request.set_timeout(left());
    let skus = match peers.recommendation.clone().recommend(request).await {
        Ok(answer) => answer.into_inner().skus,
        Err(cause) => return Err(Missing { cause, skus: Vec::new() }),
    };
    match stocked(peers, remembered, skus.clone(), Some(left())).await {
        Ok(found) => Ok(products(found)),
        Err(cause) => Err(Missing { cause, skus }),
    }
}

/// The products that exist among `skus`, which from now on are remembered.
async fn stocked(
    peers: &Peers,
    remembered: &Remembered,
    skus: Vec<String>,
    patience: Option<Duration>,
) -> Result<Vec<inventory::StockedProduct>, Status> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let request = inventory::BatchGetProductsRequest { skus: skus.clone(), for_display: true };
    let mut request = Request::new(request);
    if let Some(patience) = patience {
        request.set_timeout(patience);
    }
    let found = peers.inventory.clone().batch_get_products(request).await?.into_inner().products;
    remembered.note(&skus, &found);
    Ok(found)
}

fn products(found: Vec<inventory::StockedProduct>) -> Vec<pb::Product> {
    found.into_iter().filter_map(|stocked| stocked.product).collect()
}

/// No longer than `most`, and a quarter of the caller's time is left over to answer
/// with what there is.
fn within(most: Duration) -> Duration {
    deadline::remaining().map_or(most, |left| most.min(left * 3 / 4))
}

/// Whether the inventory could not answer, rather than would not.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted)
}

/// A page with a part missing must not stay in a cache.
fn do_not_keep(metadata: &mut MetadataMap) {
    let mut headers = std::mem::take(metadata).into_headers();
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *metadata = MetadataMap::from_headers(headers);
}
