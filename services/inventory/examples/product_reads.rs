//! How many products a second the service shows from a Postgres server, and from caches in
//! front of it.
//!
//! `product_reads URL REDIS_URL [SECONDS] [CALLERS] [PRODUCTS]`, on an empty database.
//! Prints one JSON object. The service is called in this process, so that what is measured
//! is a read, and not the road to it; each caller goes round all products.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::Bounded as _;
use trellis_api::shop::v1::Product;
use trellis_api::r#type::v1::Money;
use trellis_cache::{Caches, Redis};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, SystemClock, Transport, transport};
use trellis_inventory::store::{self, Store};
use trellis_inventory::{Needs, Settings};
use trellis_storage::Options;
use trellis_telemetry::Metrics;

type Client = InventoryServiceClient<Transport>;

const CONNECTIONS: u32 = 10;
/// Connections, plans and caches settle in this time.
const WARM_UP: Duration = Duration::from_secs(1);

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn main() -> anyhow::Result<()> {
    const USAGE: &str = "product_reads URL REDIS_URL [SECONDS] [CALLERS] [PRODUCTS]";
    let mut arguments = std::env::args().skip(1);
    let (url, redis) =
        (arguments.next().context(USAGE)?, arguments.next().context(USAGE)?.parse()?);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seconds, callers, products) = (number(10)?, number(32)?, number(100)?);
    let (span, shutdown) = (Duration::from_secs(seconds), Shutdown::default());

    let options = Options { connections: CONNECTIONS, ..Options::default() };
    let store = store::open(&url.parse()?, &options).await?;
    let redis = Redis::new("redis", redis, Roads::new().registry())?;
    redis.follow(&shutdown);
    let over =
        |redis| Caches::new(redis, Arc::new(SystemClock), Metrics::default(), shutdown.clone());
    let uncached = service(Arc::clone(&store), over(None).off(), &shutdown).await?;
    let cached = service(store, over(Some(redis)), &shutdown).await?;
    let skus = fill(cached.clone(), products).await?;

    let mut told = Vec::new();
    for (name, client) in [("uncached", uncached), ("cached", cached)] {
        measure(&client, &skus, callers, WARM_UP).await?;
        let times = measure(&client, &skus, callers, span).await?;
        told.push(Told { name, times, span }.to_string());
    }
    println!("{{\"callers\":{callers},\"products\":{products},{}}}", told.join(","));
    shutdown.request();
    shutdown.finish(Duration::from_secs(10)).await
}

async fn service(
    store: Arc<dyn Store>,
    caches: Caches,
    shutdown: &Shutdown,
) -> anyhow::Result<Client> {
    let needs = Needs { store, clock: Arc::new(SystemClock), caches };
    let routes = trellis_inventory::start(&Settings::default(), needs, shutdown).await?;
    Ok(InventoryServiceClient::new(transport::local(routes)).bounded())
}

async fn fill(mut client: Client, count: u64) -> anyhow::Result<Vec<String>> {
    let skus: Vec<String> = (0..count).map(|number| format!("PRODUCT-{number}")).collect();
    let product = |sku: &String| Product {
        sku: sku.clone(),
        title: "What is looked at".to_owned(),
        price: Some(Money { currency_code: "GBP".to_owned(), minor_units: 250 }),
        update_time: None,
    };
    let import = |sku| pb::ProductImport { product: Some(product(sku)), on_hand: 1_000 };
    let products = skus.iter().map(import).collect();
    client.upsert_products(pb::UpsertProductsRequest { products }).await?;
    Ok(skus)
}

/// How long each read took, in microseconds.
async fn measure(
    client: &Client,
    skus: &[String],
    callers: u64,
    span: Duration,
) -> anyhow::Result<Histogram<u64>> {
    let end = Instant::now() + span;
    let callers = (0..callers).map(|caller| {
        // Callers begin far from one another and go round.
        let first = usize::try_from(caller * 31).unwrap_or_default() % skus.len();
        let (mut client, skus) = (client.clone(), skus.to_vec());
        async move {
            let mut times = Histogram::<u64>::new(3)?;
            for sku in skus.iter().cycle().skip(first) {
                let began = Instant::now();
                if end <= began {
                    break;
                }
                let skus = vec![sku.clone()];
                let request = pb::BatchGetProductsRequest { skus, for_display: true };
                let found = client.batch_get_products(request).await?.into_inner();
                anyhow::ensure!(found.products.len() == 1, "{sku} was not found");
                times.record(u64::try_from(began.elapsed().as_micros())?)?;
            }
            anyhow::Ok(times)
        }
    });
    let (mut callers, mut all) = (callers.collect::<JoinSet<_>>(), Histogram::new(3)?);
    while let Some(times) = callers.join_next().await {
        all.add(times??)?;
    }
    Ok(all)
}

struct Told {
    name: &'static str,
    times: Histogram<u64>,
    span: Duration,
}

impl std::fmt::Display for Told {
    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, times, span } = self;
        let per_second = times.len() as f64 / span.as_secs_f64();
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        write!(
            f,
            "\"{name}_per_second\":{per_second:.0},\"{name}_p50_ms\":{:.3},\"{name}_p99_ms\":{:.3}",
            at(0.5),
            at(0.99),
        )
    }
}
