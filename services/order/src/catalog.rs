//! Asks the inventory what products are called and cost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Request, Status};
use trellis_api::inventory::v1 as pb;
use trellis_api::{Money, Sku};
use trellis_chassis::deadline;

use crate::domain::Product;
use crate::error::Error;
use crate::saga::Peers;

/// How long the catalogue may take over all that one call asks of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the call that is being served goes on without the catalogue. A quarter of
/// the caller's time is left over, to say so.
pub(crate) fn until() -> Instant {
    let left = deadline::remaining().map(|left| left * 3 / 4);
    Instant::now() + left.map_or(PATIENCE, |left| left.min(PATIENCE))
}

/// The products that exist among `skus`, of which there are no more than an
/// order can have lines.
pub(crate) async fn products(
    peers: &Peers,
    skus: impl Iterator<Item = &Sku>,
    until: Instant,
) -> Result<BTreeMap<Sku, Product>, Error> {
    let skus: Vec<String> = skus.map(Sku::to_string).collect();
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut request = Request::new(pb::BatchGetProductsRequest { skus, for_display: false });
    request.set_timeout(until.saturating_duration_since(Instant::now()));
    let response = peers.inventory.clone().batch_get_products(request).await.map_err(failure)?;
    let products = response.into_inner().products.into_iter();
    products.filter_map(|stocked| stocked.product).map(product).collect()
}

fn product(product: trellis_api::shop::v1::Product) -> Result<(Sku, Product), Error> {
    let sku = product.sku.parse().map_err(|error| Error::Catalog(Box::new(error)))?;
    let price = Money::try_from(product.price.unwrap_or_default())
        .map_err(|error| Error::Catalog(error.into()))?;
    Ok((sku, Product { title: product.title, price }))
}

fn failure(status: Status) -> Error {
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Cancelled
        | Code::Unknown => Error::CatalogUnavailable(status),
        _ => Error::Catalog(status.into()),
    }
}
