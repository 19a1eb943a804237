//! What tests need that ask a store itself.

use std::sync::Arc;

use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use trellis_api::id::{Bucket, ReservationId};
use trellis_api::{Money, Sku};
use trellis_cache::Caches;
use trellis_chassis::{Clock, ManualClock, Shutdown};
use trellis_inventory::Needs;
use trellis_inventory::domain::{Import, Line, Lines, Reserve};
use trellis_inventory::store::{self, Store};
use trellis_storage::Options;
use trellis_telemetry::Metrics;
use trellis_testkit::Database;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
pub(crate) const TTL: Duration = Duration::minutes(15);

pub(crate) async fn open(database: &Database) -> Arc<dyn Store> {
    open_with(database.url(), &Options::default()).await
}

pub(crate) async fn open_with(url: &str, options: &Options) -> Arc<dyn Store> {
    store::open(&url.parse().unwrap(), options).await.unwrap()
}

/// What the service takes, without Redis.
pub(crate) fn needs(store: &Arc<dyn Store>, clock: &ManualClock, shutdown: &Shutdown) -> Needs {
    let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(clock.clone()), Metrics::default());
    let caches = Caches::new(None, Arc::clone(&clock), metrics, shutdown.clone());
    Needs { store: Arc::clone(store), clock, caches }
}

pub(crate) async fn stock(store: &dyn Store, products: &[(&str, i64)]) {
    let imports = products.iter().map(|&(name, on_hand)| import(name, "A thing", on_hand));
    store.upsert_products(imports.collect(), NOW).await.unwrap();
}

pub(crate) fn import(name: &str, title: &str, on_hand: i64) -> Import {
    Import {
        sku: sku(name),
        title: title.parse().unwrap(),
        price: Money::new("GBP".parse().unwrap(), 1_250),
        on_hand: on_hand.try_into().unwrap(),
    }
}

pub(crate) async fn available(store: &dyn Store, name: &str) -> i64 {
    store.products(vec![sku(name)]).await.unwrap()[0].available
}

/// Fails unless every invariant holds.
pub(crate) async fn assert_sound(store: &dyn Store) {
    let checks = store.audit(NOW).await.unwrap();
    assert_eq!(checks.len(), 4);
    for check in checks {
        assert_eq!(check.violations, [], "{}", check.invariant);
    }
}

pub(crate) fn reserve(reservation_id: ReservationId, lines: &[(&str, i32)]) -> Reserve {
    let lines = lines
        .iter()
        .map(|&(name, units)| Line { sku: sku(name), quantity: units.try_into().unwrap() })
        .collect();
    Reserve { reservation_id, lines: Lines::new(lines).unwrap(), ttl: TTL }
}

pub(crate) fn new_id() -> ReservationId {
    ReservationId::new(NOW, Bucket::random())
}

pub(crate) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}
