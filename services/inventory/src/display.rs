//! Products as pages show them.
//!
//! What is known of a product is kept in memory and in Redis, its stock in memory alone and
//! for a second. Nothing is decided by either: a checkout asks the store for its prices,
//! and a reservation for its units.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use time::OffsetDateTime;
use tonic::Status;
use trellis_api::Sku;
use trellis_api::inventory::v1 as pb;
use trellis_api::shop::v1::Product;
use trellis_cache::{Cache, Caches, Change, Settings, version_of};
use trellis_chassis::Clock;

use crate::api::render;
use crate::domain::{Reservation, StockedProduct};
use crate::error::Error;
use crate::store::Store;

/// For more products than this at once, one read of the store is cheaper.
const MOST: usize = 16;

const PRODUCTS: Settings =
    Settings::new("products", Duration::from_mins(5), Duration::from_hours(1));
/// Read anew from half a second on, and never shown when it is older than one.
const STOCK: Settings = Settings {
    negative: Duration::from_secs(1),
    ..Settings::new("stock", Duration::from_millis(500), Duration::from_secs(1))
};

pub(crate) struct Display {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    products: Cache<Sku, Product, Status>,
    stock: Cache<Sku, i64, Status>,
}

impl Display {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, caches: &Caches) -> Self {
        let (products, stock) = (caches.open(PRODUCTS), caches.open_in_memory(STOCK));
        Self { store, clock, products, stock }
    }

    /// The products that exist among `skus`, in that order.
    pub(crate) async fn products(&self, skus: Vec<Sku>) -> Result<Vec<pb::StockedProduct>, Status> {
        if MOST < skus.len() || self.products.is_off() {
            let found = self.store.products(skus).await?;
            return Ok(found.into_iter().map(render::stocked_product).collect());
        }
        let found = try_join_all(skus.iter().map(|sku| self.product(sku))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn product(&self, sku: &Sku) -> Result<Option<pb::StockedProduct>, Status> {
        let load = || {
            let (store, sku) = (Arc::clone(&self.store), sku.clone());
            async move { Ok::<_, Status>(store.products(vec![sku]).await?.pop()) }
        };
        let (of_product, of_stock, clock) = (load(), load(), Arc::clone(&self.clock));
        let product = self.products.get(sku, || async move {
            let found = of_product.await?.map(|StockedProduct { product, .. }| product);
            Ok(found.map(|it| (version_of(it.update_time), render::product(it))))
        });
        let stock = self.stock.get(sku, || async move {
            // Stock has no version of its own: what was read later is newer.
            let version = version_of(clock.now());
            Ok(of_stock.await?.map(|StockedProduct { available, .. }| (version, available)))
        });
        let (product, stock) = tokio::try_join!(product, stock)?;
        Ok(product.zip(stock).map(|(product, available)| pb::StockedProduct {
            product: Some(Product::clone(&product)),
            available: *available,
        }))
    }

    /// Announces a write of these products, which is done at `now`.
    pub(crate) fn change(&self, skus: Vec<Sku>, now: OffsetDateTime) -> ProductChange<'_> {
        let change = self.products.change(skus.clone(), version_of(now));
        ProductChange { display: self, skus, change }
    }

    /// Units of these products have come or gone.
    pub(crate) async fn moved(&self, skus: impl IntoIterator<Item = Sku>) {
        // What was read in this very microsecond may have been read before.
        let version = version_of(self.clock.now()) + 1;
        self.stock.invalidate(skus.into_iter().map(|sku| (sku, version)).collect()).await;
    }

    /// A reservation has, perhaps, just taken units or given them back.
    pub(crate) async fn moved_by(&self, reservation: &Reservation) {
        self.moved(reservation.lines.iter().map(|line| line.sku.clone())).await;
    }
}

/// A write of products that is under way. If nobody sees its end, it counts as done.
pub(crate) struct ProductChange<'a> {
    display: &'a Display,
    skus: Vec<Sku>,
    change: Change<Sku, Product, Status>,
}

impl ProductChange<'_> {
    /// The write is committed.
    pub(crate) async fn done(self) -> Result<(), Error> {
        let Self { display, skus, change } = self;
        display.moved(skus.iter().cloned()).await;
        // Those that were not changed keep the versions that they had.
        let products = display.store.products(skus).await?;
        let version = |StockedProduct { product, .. }: StockedProduct| {
            let version = version_of(product.update_time);
            (product.sku, version)
        };
        change.done(products.into_iter().map(version).collect()).await;
        Ok(())
    }
}
