//! How many reservations of one product a Postgres server takes: by the service, which
//! decides many of them in one statement, and by a plain conditional update each.
//!
//! `hot_sku URL [SECONDS] [CALLERS]`, on an empty database. Prints one JSON object. Both
//! have as many connections and callers, and each reservation is durable at its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::{Code, Request};
use trellis_api::id::{Bucket, ReservationId};
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::Bounded as _;
use trellis_api::shop::v1::Product;
use trellis_api::r#type::v1::Money;
use trellis_cache::Caches;
use trellis_chassis::{Clock as _, Shutdown, SystemClock, Transport, transport};
use trellis_inventory::{Needs, Settings, store};
use trellis_storage::Options;
use trellis_telemetry::Metrics;
use uuid::Uuid;

type Client = InventoryServiceClient<Transport>;

const CONNECTIONS: u32 = 10;
/// Far more than anybody buys.
const PLENTY: i64 = 1_000_000_000;
/// Few enough to be sold out.
const FEW: i64 = 5_000;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("which database? hot_sku URL [SECONDS] [CALLERS]")?;
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let callers = arguments.next().map_or(Ok(512), |text| text.parse())?;
    let (span, shutdown) = (Duration::from_secs(seconds), Shutdown::default());

    let client = service(&url, &shutdown).await?;
    stock(client.clone(), "PLENTY", PLENTY).await?;
    stock(client.clone(), "FEW", FEW).await?;
    let plain = plain(&url).await?;

    let batched = repeat(callers, span, || reserve(client.clone(), "PLENTY")).await?;
    let single = repeat(callers, span, || update(plain.clone())).await?;
    let sold = sell_out(&client, callers).await?;
    shutdown.request();
    shutdown.finish(Duration::from_secs(10)).await?;

    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    let (batched, single) =
        (batched as f64 / span.as_secs_f64(), single as f64 / span.as_secs_f64());
    println!(
        "{{\"callers\":{callers},\"batched_per_second\":{batched:.0},\"plain_per_second\":{single:.0},\
         \"ratio\":{:.1},\"stock\":{FEW},\"sold\":{sold}}}",
        batched / single,
    );
    Ok(())
}

async fn service(url: &str, shutdown: &Shutdown) -> anyhow::Result<Client> {
    let options = Options { connections: CONNECTIONS, ..Options::default() };
    let store = store::open(&url.parse()?, &options).await?;
    let (clock, metrics) = (Arc::new(SystemClock), Metrics::default());
    let caches = Caches::new(None, clock.clone(), metrics, shutdown.clone());
    let needs = Needs { store, clock, caches };
    let routes = trellis_inventory::start(&Settings::default(), needs, shutdown).await?;
    Ok(InventoryServiceClient::new(transport::local(routes)).bounded())
}

async fn stock(mut client: Client, sku: &str, on_hand: i64) -> anyhow::Result<()> {
    let price = Money { currency_code: "GBP".to_owned(), minor_units: 250 };
    let product = Product {
        sku: sku.to_owned(),
        title: "What everybody wants".to_owned(),
        price: Some(price),
        update_time: None,
    };
    let products = vec![pb::ProductImport { product: Some(product), on_hand }];
    client.upsert_products(pb::UpsertProductsRequest { products }).await?;
    Ok(())
}

/// Holds one unit; says whether there was one.
async fn reserve(mut client: Client, sku: &'static str) -> anyhow::Result<bool> {
    let id = ReservationId::new(SystemClock.now(), Bucket::random());
    let lines = vec![pb::ReservationLine { sku: sku.to_owned(), quantity: 1 }];
    let mut request =
        Request::new(pb::ReserveStockRequest { reservation_id: id.to_string(), lines, ttl: None });
    request.set_timeout(Duration::from_secs(30));
    match client.reserve_stock(request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(false),
        Err(status) => Err(status.into()),
    }
}

async fn plain(url: &str) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(30))
        .connect(url)
        .await?;
    let tables = "
        CREATE TABLE plain_stock (sku text PRIMARY KEY, available bigint CHECK (available >= 0));
        CREATE TABLE plain_reservations (
            id uuid PRIMARY KEY, sku text NOT NULL, create_time timestamptz NOT NULL);
        INSERT INTO plain_stock VALUES ('PLENTY', 1000000000)";
    sqlx::raw_sql(tables).execute(&pool).await?;
    Ok(pool)
}

/// The same by one statement of its own.
async fn update(pool: PgPool) -> anyhow::Result<bool> {
    let taken = sqlx::query(
        "
        WITH taken AS (
            UPDATE plain_stock
               SET available = available - 1
             WHERE sku = 'PLENTY'
               AND available >= 1
            RETURNING sku
        )
        INSERT INTO plain_reservations (id, sku, create_time)
        SELECT $1, sku, $2
          FROM taken
        ",
    );
    let now: OffsetDateTime = SystemClock.now();
    let done = taken.bind(Uuid::new_v4()).bind(now).execute(&pool).await?;
    Ok(done.rows_affected() == 1)
}

/// Has so many callers do it again and again for a while; says how often it was done.
async fn repeat<F>(callers: usize, span: Duration, act: impl Fn() -> F) -> anyhow::Result<u64>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let end = Instant::now() + span;
    let callers = (0..callers).map(|_| async {
        let mut done = 0;
        while Instant::now() < end {
            done += u64::from(act().await?);
        }
        anyhow::Ok(done)
    });
    Ok(try_join_all(callers).await?.into_iter().sum())
}

/// Buys until nothing is left; says how many were held.
async fn sell_out(client: &Client, callers: usize) -> anyhow::Result<u64> {
    let callers = (0..callers).map(|_| async {
        let mut held = 0;
        while reserve(client.clone(), "FEW").await? {
            held += 1;
        }
        anyhow::Ok(held)
    });
    Ok(try_join_all(callers).await?.into_iter().sum())
}
