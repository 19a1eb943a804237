//! Fills the catalogue from the public "Online Retail" data set.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use trellis_api::shop::v1 as pb;

use super::say;
use crate::cli::Import;
use crate::config::Config;
use crate::retail::{self, Product, Retail};
use crate::session::{Admin, explain};
use crate::statistics::grouped;

/// Long enough for a slow disk.
const TIMEOUT: Duration = Duration::from_mins(10);

pub(super) async fn run(import: Import, config: &Config) -> anyhow::Result<ExitCode> {
    let Import { csv, stock, shop } = import;
    let admin = Admin::connect(&shop.endpoint, config)?;
    let retail = tokio::task::spawn_blocking(move || retail::read(csv.as_deref()))
        .await
        .context("the reader failed")??;
    let Retail { products, rows, not_catalogued, .. } = retail;
    if products.is_empty() {
        say(&not_catalogued.table().to_string());
        anyhow::bail!("none of the {} rows is about a product with a price", grouped(rows));
    }

    let count = products.len() as u64;
    let written = send(&admin, products, stock).await?;
    say(&format!(
        "{} products from {} rows: {} new, {} updated; {} units of each are on the shelf",
        grouped(count),
        grouped(rows),
        grouped(written.created.unsigned_abs()),
        grouped(written.updated.unsigned_abs()),
        grouped(stock.unsigned_abs()),
    ));
    if 0 < not_catalogued.total() {
        say(&format!("\n{}", not_catalogued.table()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn send(
    admin: &Admin,
    products: Vec<Product>,
    stock: i64,
) -> anyhow::Result<pb::ImportProductsResponse> {
    let progress = ProgressBar::new(products.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} products")
            .context("the progress bar is malformed")?,
    );
    // The stream is read as fast as the shop takes it.
    let shown = progress.clone();
    let imports = tokio_stream::iter(products.into_iter().map(move |product| {
        shown.inc(1);
        let Product { sku, title, price } = product;
        let product =
            pb::Product { sku: sku.into(), title, price: Some(price.into()), update_time: None };
        pb::ImportProductsRequest { product: Some(product), stock }
    }));
    let mut request = admin.sign(imports);
    request.set_timeout(TIMEOUT);
    let answer = admin.client().import_products(request).await;
    progress.finish_and_clear();
    Ok(answer.map_err(|status| explain(&status))?.into_inner())
}
