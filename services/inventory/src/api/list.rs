//! Pages of the catalogue.
//!
//! Listed without a query, each page begins behind the last SKU of the page
//! before, so nothing is skipped or repeated even while products come. Search
//! results begin behind a rank, which every change of the catalogue shifts a
//! little: their pages fit together as long as the catalogue does not change.

use tonic::Status;
use trellis_api::Sku;
use trellis_api::error::{Invalid, Violation};
use trellis_api::inventory::v1::{ListProductsRequest, ListProductsResponse};
use trellis_api::page::{self, PageSize};

use super::parse::both;
use super::render;
use crate::domain::{ParseWordsError, Rank, Words};
use crate::store::Store;

const DEFAULT_SIZE: u32 = 20;
const ALL: &str = "inventory.products";
const FOUND: &str = "inventory.search";

pub(super) async fn page(
    store: &dyn Store,
    request: &ListProductsRequest,
) -> Result<ListProductsResponse, Status> {
    let query = request.query.trim();
    if query.is_empty() { list(store, request).await } else { search(store, query, request).await }
}

async fn list(
    store: &dyn Store,
    request: &ListProductsRequest,
) -> Result<ListProductsResponse, Status> {
    let (size, after) =
        both(size(request), page::decode::<Sku>(ALL, "", &request.page_token).map_err(Into::into))?;
    let mut products = store.products_after(after, size + 1).await?;
    let more = cut(&mut products, size);
    let next_page_token = match products.last() {
        Some(last) if more => page::encode(ALL, "", &last.sku),
        _ => String::new(),
    };
    let products = products.into_iter().map(render::product).collect();
    Ok(ListProductsResponse { products, next_page_token })
}

async fn search(
    store: &dyn Store,
    query: &str,
    request: &ListProductsRequest,
) -> Result<ListProductsResponse, Status> {
    let after = page::decode::<(Rank, Sku)>(FOUND, query, &request.page_token);
    let ((size, after), words) =
        both(both(size(request), after.map_err(Into::into)), words(query))?;
    let Some(words) = words else { return Ok(ListProductsResponse::default()) };
    let mut found = store.search(words, after, size + 1).await?;
    let more = cut(&mut found, size);
    let next_page_token = match found.last() {
        Some(last) if more => page::encode(FOUND, query, &(last.rank, &last.product.sku)),
        _ => String::new(),
    };
    let products = found.into_iter().map(|found| render::product(found.product)).collect();
    Ok(ListProductsResponse { products, next_page_token })
}

fn size(request: &ListProductsRequest) -> Result<u32, Invalid> {
    Ok(PageSize::parse(request.page_size, DEFAULT_SIZE)?.get())
}

/// A query of punctuation alone is no mistake: there is nothing that it finds.
fn words(query: &str) -> Result<Option<Words>, Invalid> {
    match query.parse() {
        Ok(words) => Ok(Some(words)),
        Err(ParseWordsError::Nothing) => Ok(None),
        Err(error @ ParseWordsError::TooLong) => {
            Err(Violation::new("query", error.to_string()).into())
        }
    }
}

/// Drops the entry that was only read to see whether there is another page.
fn cut<T>(entries: &mut Vec<T>, size: u32) -> bool {
    let size = usize::try_from(size).expect("a page is small");
    let more = size < entries.len();
    entries.truncate(size);
    more
}
