//! Products, and what goes with them.

use std::time::Duration;

use http::HeaderValue;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use trellis_api::inventory::v1 as inventory;
use trellis_api::recommendation::v1 as recommendation;
use trellis_api::shop::v1 as pb;
use trellis_api::{Sku, error};

use super::Answer;
use crate::peers::Peers;
use crate::views::Views;

/// How many suggestions a product page shows.
const SUGGESTIONS: i32 = 6;
/// How long a product page waits for its suggestions.
const PATIENCE: Duration = Duration::from_millis(250);

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

/// The page of one product. It stands without its suggestions, and says so.
pub(super) async fn page(
    peers: &Peers,
    views: &Views,
    request: pb::GetProductRequest,
) -> Answer<pb::GetProductResponse> {
    let sku: Sku = error::field("sku", &request.sku)?;
    let context = vec![request.sku.clone()];
    let (stocked, suggested) =
        tokio::join!(stocked(peers, vec![request.sku]), suggestions(peers, context));

    let stocked = stocked?.into_iter().next();
    let stocked = stocked.ok_or_else(|| crate::error::product_not_found(sku.as_str()))?;
    views.note(sku);

    let mut degraded = Vec::new();
    let recommendations = suggested.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "no suggestions for a product");
        degraded.push("recommendations".to_owned());
        Vec::new()
    });
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

pub(super) async fn recommend(
    peers: &Peers,
    request: pb::ListRecommendationsRequest,
) -> Answer<pb::ListRecommendationsResponse> {
    let pb::ListRecommendationsRequest { skus, page_size } = request;
    let products = suggested(peers, recommendation::RecommendRequest { skus, page_size }).await?;
    Ok(Response::new(pb::ListRecommendationsResponse { products }))
}

async fn suggestions(peers: &Peers, skus: Vec<String>) -> Result<Vec<pb::Product>, Status> {
    let mut request =
        Request::new(recommendation::RecommendRequest { skus, page_size: SUGGESTIONS });
    request.set_timeout(PATIENCE);
    suggested(peers, request).await
}

async fn suggested(
    peers: &Peers,
    request: impl tonic::IntoRequest<recommendation::RecommendRequest>,
) -> Result<Vec<pb::Product>, Status> {
    let skus = peers.recommendation.clone().recommend(request).await?.into_inner().skus;
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let products = stocked(peers, skus).await?;
    Ok(products.into_iter().filter_map(|stocked| stocked.product).collect())
}

async fn stocked(
    peers: &Peers,
    skus: Vec<String>,
) -> Result<Vec<inventory::StockedProduct>, Status> {
    let request = inventory::BatchGetProductsRequest { skus };
    Ok(peers.inventory.clone().batch_get_products(request).await?.into_inner().products)
}

/// A page with a part missing must not stay in a cache.
fn do_not_keep(metadata: &mut MetadataMap) {
    let mut headers = std::mem::take(metadata).into_headers();
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *metadata = MetadataMap::from_headers(headers);
}
