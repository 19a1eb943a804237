//! Products: listed, searched, found by SKU, imported.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;
use trellis_api::{Money, Sku};
use trellis_storage::{from_micros, micros};

use super::{sku, stock};
use crate::domain::{
    Found, Import, Movement, Product, Rank, Stock, StockedProduct, Upserted, Words,
};
use crate::error::Error;

pub(super) fn after(
    tx: &Connection,
    after: Option<&Sku>,
    limit: u32,
) -> Result<Vec<Product>, Error> {
    tx.prepare_cached(
        "
        SELECT sku, title, currency, price_minor, update_time
          FROM products
         WHERE sku > ?1
         ORDER BY sku
         LIMIT ?2
        ",
    )?
    .query_and_then(params![after.map_or("", Sku::as_str), limit], product)?
    .collect()
}

pub(super) fn search(
    tx: &Connection,
    words: &Words,
    after: Option<&(Rank, Sku)>,
    limit: u32,
) -> Result<Vec<Found>, Error> {
    let (rank, sku) = match after {
        Some((rank, sku)) => (rank.0, sku.as_str()),
        None => (f64::NEG_INFINITY, ""),
    };
    tx.prepare_cached(
        "
        SELECT products.sku, products.title, currency, price_minor, update_time, rank
          FROM product_search
          JOIN products ON product_number = product_search.rowid
         WHERE product_search MATCH ?1
           AND (rank, products.sku) > (?2, ?3)
         ORDER BY rank, products.sku
         LIMIT ?4
        ",
    )?
    .query_and_then(params![match_all(words), rank, sku, limit], |row| {
        Ok(Found { product: product(row)?, rank: Rank(row.get(5)?) })
    })?
    .collect()
}

/// All of the words, the last one as a prefix.
///
/// Each is a quoted string, so nothing in it is read as syntax; the index's own
/// tokenizer splits it further, `MUG-350ML` into a phrase of two.
fn match_all(words: &Words) -> String {
    let quoted: Vec<String> =
        words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    format!("{} *", quoted.join(" "))
}

/// One cached statement run for each SKU is as fast as one statement over
/// `json_each` (both 1.5 µs a product), and keeps order and repetitions.
pub(super) fn find(tx: &Connection, skus: &[Sku]) -> Result<Vec<StockedProduct>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT sku, title, currency, price_minor, update_time, on_hand - reserved
          FROM products
          JOIN stock USING (sku)
         WHERE sku = ?1
        ",
    )?;
    let mut found = Vec::with_capacity(skus.len());
    for sku in skus {
        let mut rows = statement.query([sku.as_str()])?;
        if let Some(row) = rows.next()? {
            found.push(StockedProduct { product: product(row)?, available: row.get(5)? });
        }
    }
    Ok(found)
}

pub(super) fn upsert(
    tx: &Connection,
    imports: &[Import],
    now: OffsetDateTime,
) -> Result<Upserted, Error> {
    let mut upserted = Upserted::default();
    for import in imports {
        if let Some(known) = known(tx, &import.sku)? {
            update(tx, import, &known, now)?;
            upserted.updated += 1;
        } else {
            insert(tx, import, now)?;
            upserted.created += 1;
        }
    }
    Ok(upserted)
}

struct Known {
    product: Product,
    stock: Stock,
}

fn known(tx: &Connection, sku: &Sku) -> Result<Option<Known>, Error> {
    tx.prepare_cached(
        "
        SELECT sku, title, currency, price_minor, update_time, on_hand, reserved
          FROM products
          JOIN stock USING (sku)
         WHERE sku = ?1
        ",
    )?
    .query_row([sku.as_str()], |row| {
        let stock = Stock { on_hand: row.get(5)?, reserved: row.get(6)? };
        Ok(product(row).map(|product| Known { product, stock }))
    })
    .optional()?
    .transpose()
}

fn insert(tx: &Connection, import: &Import, now: OffsetDateTime) -> Result<(), Error> {
    let sku = import.sku.as_str();
    tx.prepare_cached(
        "
        INSERT INTO products (sku, title, currency, price_minor, create_time, update_time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?5)
        ",
    )?
    .execute(params![
        sku,
        import.title.as_str(),
        import.price.currency().as_str(),
        import.price.minor_units(),
        micros(now)
    ])?;
    tx.prepare_cached("INSERT INTO stock (sku, on_hand, reserved) VALUES (?1, 0, 0)")?
        .execute([sku])?;
    stock::add(tx, &import.sku, import.on_hand.get(), Movement::Import, None, now)
}

fn update(
    tx: &Connection,
    import: &Import,
    known: &Known,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if (&import.title, import.price) != (&known.product.title, known.product.price) {
        // Caches keep the newer entry, so a changed one is always newer,
        // even when the clock was set back.
        let update_time = micros(now).max(micros(known.product.update_time) + 1);
        tx.prepare_cached(
            "
            UPDATE products
               SET title = ?2, currency = ?3, price_minor = ?4, update_time = ?5
             WHERE sku = ?1
            ",
        )?
        .execute(params![
            import.sku.as_str(),
            import.title.as_str(),
            import.price.currency().as_str(),
            import.price.minor_units(),
            update_time
        ])?;
    }
    if import.on_hand.get() < known.stock.reserved {
        let reserved = known.stock.reserved;
        return Err(Error::StockReserved { sku: import.sku.clone(), reserved });
    }
    let delta = import.on_hand.get() - known.stock.on_hand;
    stock::add(tx, &import.sku, delta, Movement::Import, None, now)
}

/// Reads the first five columns, which every query here names in this order.
fn product(row: &Row<'_>) -> Result<Product, Error> {
    let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let title = text(1)?.parse().map_err(|_| Error::Inconsistent("a title"))?;
    let currency = text(2)?.parse().map_err(|_| Error::Inconsistent("a currency"))?;
    Ok(Product {
        sku: sku(row, 0)?,
        title,
        price: Money::new(currency, row.get(3)?),
        update_time: from_micros(row.get(4)?),
    })
}
