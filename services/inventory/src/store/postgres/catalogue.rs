//! Products: listed, searched, found by SKU.

use sqlx::FromRow;
use time::OffsetDateTime;
use trellis_api::{Money, Sku};
use trellis_storage::Tx;

use super::sku;
use crate::domain::{Found, Product, Rank, StockedProduct};
use crate::error::Error;

#[derive(FromRow)]
pub(super) struct ProductRow {
    sku: String,
    title: String,
    currency: String,
    price_minor: i64,
    update_time: OffsetDateTime,
}

#[derive(FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    product: ProductRow,
    rank: f64,
}

#[derive(FromRow)]
struct StockedRow {
    #[sqlx(flatten)]
    product: ProductRow,
    available: i64,
}

pub(super) async fn after(
    mut tx: Tx,
    after: Option<&Sku>,
    limit: u32,
) -> Result<Vec<Product>, Error> {
    let rows: Vec<ProductRow> = sqlx::query_as(
        "
        SELECT sku, title, currency, price_minor, update_time
          FROM products
         WHERE sku > $1
         ORDER BY sku
         LIMIT $2
        ",
    )
    .bind(after.map_or("", Sku::as_str))
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(ProductRow::product).collect()
}

/// How well a product fits is a matter of its own words alone: how often those looked for
/// are among them, and how near to one another, less the logarithm of how many different
/// ones there are (16). Other products coming and going leave it as it is.
pub(super) async fn search(
    mut tx: Tx,
    query: &str,
    after: Option<&(Rank, Sku)>,
    limit: u32,
) -> Result<Vec<Found>, Error> {
    let (rank, sku) = match after {
        Some((rank, sku)) => (rank.0, sku.as_str()),
        None => (f64::NEG_INFINITY, ""),
    };
    let rows: Vec<FoundRow> = sqlx::query_as(
        "
        SELECT sku, title, currency, price_minor, update_time, rank
          FROM products, LATERAL (
               SELECT -ts_rank(words, $1::tsquery, 16)::double precision) AS fit (rank)
         WHERE words @@ $1::tsquery
           AND (rank, sku) > ($2, $3)
         ORDER BY rank, sku
         LIMIT $4
        ",
    )
    .bind(query)
    .bind(rank)
    .bind(sku)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    let found = |row: FoundRow| Ok(Found { product: row.product.product()?, rank: Rank(row.rank) });
    rows.into_iter().map(found).collect()
}

/// In the order asked for, repetitions included.
pub(super) async fn find(mut tx: Tx, skus: &[Sku]) -> Result<Vec<StockedProduct>, Error> {
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    let rows: Vec<StockedRow> = sqlx::query_as(
        "
        SELECT sku, title, currency, price_minor, update_time, on_hand - reserved AS available
          FROM unnest($1::text[]) WITH ORDINALITY AS wanted (sku, number)
          JOIN products USING (sku)
          JOIN stock USING (sku)
         ORDER BY number
        ",
    )
    .bind(skus)
    .fetch_all(&mut *tx)
    .await?;
    let stocked = |row: StockedRow| {
        Ok(StockedProduct { product: row.product.product()?, available: row.available })
    };
    rows.into_iter().map(stocked).collect()
}

impl ProductRow {
    pub(super) fn product(self) -> Result<Product, Error> {
        let currency = self.currency.parse().map_err(|_| Error::Inconsistent("a currency"))?;
        Ok(Product {
            sku: sku(&self.sku)?,
            title: self.title.parse().map_err(|_| Error::Inconsistent("a title"))?,
            price: Money::new(currency, self.price_minor),
            update_time: self.update_time,
        })
    }
}
