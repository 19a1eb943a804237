//! Products, imported.

use std::collections::HashMap;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_storage::{Tx, from_micros, micros};

use super::catalogue::ProductRow;
use super::{stock, words};
use crate::domain::{Import, Movement, Product, Stock, Upserted};
use crate::error::Error;

#[derive(FromRow)]
struct KnownRow {
    #[sqlx(flatten)]
    product: ProductRow,
    on_hand: i64,
    reserved: i64,
}

struct Known {
    product: Product,
    stock: Stock,
}

/// What products are from now on, one array for each column.
#[derive(Default)]
struct Entries<'i> {
    skus: Vec<&'i str>,
    titles: Vec<&'i str>,
    currencies: Vec<String>,
    prices: Vec<i64>,
    words: Vec<String>,
    update_times: Vec<OffsetDateTime>,
}

pub(super) async fn upsert(
    mut tx: Tx,
    imports: &[Import],
    now: OffsetDateTime,
) -> Result<Upserted, Error> {
    let mut all = Entries::default();
    for import in imports {
        all.push(import, now);
    }
    let created = insert(&mut tx, &all).await?;
    let known = lock(&mut tx, &all.skus).await?;
    let mut changed = Entries::default();
    let (mut skus, mut deltas) = (Vec::new(), Vec::new());
    for import in imports {
        let Known { product, stock } =
            known.get(&import.sku).ok_or(Error::Inconsistent("a product without stock"))?;
        if (&import.title, import.price) != (&product.title, product.price) {
            // Caches keep the newer entry, so a changed one is always newer,
            // even when the clock was set back.
            let update_time = micros(now).max(micros(product.update_time) + 1);
            changed.push(import, from_micros(update_time));
        }
        if import.on_hand.get() < stock.reserved {
            let reserved = stock.reserved;
            return Err(Error::StockReserved { sku: import.sku.clone(), reserved });
        }
        if import.on_hand.get() != stock.on_hand {
            skus.push(import.sku.as_str());
            deltas.push(import.on_hand.get() - stock.on_hand);
        }
    }
    if !changed.skus.is_empty() {
        update(&mut tx, &changed).await?;
    }
    if !skus.is_empty() {
        stock::add(&mut tx, &skus, &deltas, Movement::Import, None, now).await?;
    }
    let all = i64::try_from(imports.len()).unwrap_or(i64::MAX);
    Ok(Upserted { created, updated: all - created })
}

/// Adds those that are new, without units, and says how many. Waits for others that are
/// about to add one of them.
async fn insert(tx: &mut PgConnection, entries: &Entries<'_>) -> Result<i64, Error> {
    let created = sqlx::query(
        r#"
        WITH created AS (
             INSERT INTO products (
                    sku, title, currency, price_minor, words, create_time, update_time)
             SELECT sku, title, currency, price_minor, words::tsvector, time, time
               FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[],
                           $6::timestamptz[])
                    AS import (sku, title, currency, price_minor, words, time)
              ORDER BY sku COLLATE "C"
                 ON CONFLICT (sku) DO NOTHING
             RETURNING sku
             )
        INSERT INTO stock (sku, on_hand, reserved)
        SELECT sku, 0, 0
          FROM created
        "#,
    );
    let created = entries.bind(created).execute(tx).await?.rows_affected();
    Ok(i64::try_from(created).unwrap_or(i64::MAX))
}

/// Finds all of them, and locks each with its stock.
async fn lock(tx: &mut PgConnection, skus: &[&str]) -> Result<HashMap<Sku, Known>, Error> {
    let rows: Vec<KnownRow> = sqlx::query_as(
        "
        SELECT sku, title, currency, price_minor, update_time, on_hand, reserved
          FROM products
          JOIN stock USING (sku)
         WHERE sku = ANY ($1)
         ORDER BY sku
           FOR NO KEY UPDATE
        ",
    )
    .bind(skus)
    .fetch_all(tx)
    .await?;
    let known = |KnownRow { product, on_hand, reserved }: KnownRow| {
        let known = Known { product: product.product()?, stock: Stock { on_hand, reserved } };
        Ok((known.product.sku.clone(), known))
    };
    rows.into_iter().map(known).collect()
}

async fn update(tx: &mut PgConnection, entries: &Entries<'_>) -> Result<(), Error> {
    let update = sqlx::query(
        "
        UPDATE products
           SET title = import.title, currency = import.currency,
               price_minor = import.price_minor, words = import.words::tsvector,
               update_time = import.time
          FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[],
                      $6::timestamptz[])
               AS import (sku, title, currency, price_minor, words, time)
         WHERE products.sku = import.sku
        ",
    );
    entries.bind(update).execute(tx).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl<'i> Entries<'i> {
    fn push(&mut self, import: &'i Import, update_time: OffsetDateTime) {
        self.skus.push(import.sku.as_str());
        self.titles.push(import.title.as_str());
        self.currencies.push(import.price.currency().as_str().to_owned());
        self.prices.push(import.price.minor_units());
        self.words.push(words::document(&import.title, &import.sku));
        self.update_times.push(update_time);
    }

    fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.skus)
            .bind(&self.titles)
            .bind(&self.currencies)
            .bind(&self.prices)
            .bind(&self.words)
            .bind(&self.update_times)
    }
}
