//! Everything around an order service.

use std::sync::Arc;
use std::time::Duration;

use time::macros::datetime;
use tonic::service::Routes;
use trellis_api::id::{Bucket, UserId};
use trellis_api::inventory::v1::inventory_service_server::InventoryServiceServer;
use trellis_api::payment::v1::payment_service_server::PaymentServiceServer;
use trellis_chassis::{Clock as _, ManualClock, transport};
use trellis_order::Needs;
use trellis_order::saga::policy;
use trellis_order::store::{self, Store};
use trellis_storage::{Faults, Options, When};
use trellis_telemetry::Metrics;
use trellis_testkit::Database;

use super::heard::Heard;
use super::world::{Product, World};

/// What a restart leaves in place: the records, the clock, the world outside.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) database: Arc<Database>,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
    pub(crate) heard: Heard,
    pub(crate) user_id: UserId,
    pub(crate) metrics: Metrics,
}

impl Ground {
    /// What a service on `store` takes from this world.
    pub(crate) fn needs(&self, store: &Arc<dyn Store>) -> Needs {
        let inventory = InventoryServiceServer::new(self.world.clone());
        let payment = PaymentServiceServer::new(self.world.clone());
        Needs {
            store: Arc::clone(store),
            inventory: transport::local(Routes::new(inventory)),
            payment: transport::local(Routes::new(payment)),
            bus: Arc::new(self.heard.clone()),
            clock: Arc::new(self.clock.clone()),
            metrics: self.metrics.clone(),
        }
    }

    pub(crate) async fn new() -> Self {
        Self::on(Database::chosen("order").await)
    }

    pub(crate) fn on(database: Database) -> Self {
        let clock = clock();
        let user_id = customer();
        let world = World::default();
        for (sku, price, currency) in [
            ("MUG", 350, "GBP"),
            ("TEA", 1_200, "GBP"),
            ("VASE", 900, "EUR"),
            ("LEAFLET", 0, "GBP"),
        ] {
            let product = Product { price, currency, available: 1_000 };
            world.state().products.insert(sku.to_owned(), product);
        }
        let (heard, metrics) = (Heard::default(), Metrics::default());
        Self { database: Arc::new(database), clock, world, heard, user_id, metrics }
    }

    pub(crate) async fn open_store(&self, faults: Faults) -> Arc<dyn Store> {
        let options = Options { faults, metrics: self.metrics.clone(), ..Options::default() };
        open_store(&self.database, &options).await
    }

    /// Lets pass what the leases of a dead process may have left. Nothing is left in a
    /// file: whoever opens it knows that its processes are dead.
    pub(crate) fn outlive_leases(&self) {
        if self.database.url().starts_with("postgres:") {
            self.clock.advance(policy::LEASE + Duration::from_secs(1));
        }
    }
}

/// At the time at which every story begins.
pub(crate) fn clock() -> ManualClock {
    ManualClock::new(datetime!(2026-11-22 10:00 UTC))
}

/// A crash that never comes. Without a plan, commits on Postgres are not counted.
pub(crate) fn counting() -> Faults {
    Faults::crash(u64::MAX, When::AfterCommit)
}

/// Somebody new.
pub(crate) fn customer() -> UserId {
    UserId::new(clock().now(), Bucket::random())
}

pub(crate) async fn open_store(database: &Database, options: &Options) -> Arc<dyn Store> {
    store::open(&database.url().parse().unwrap(), options).await.unwrap()
}

/// How many events nobody has been told of yet.
pub(crate) async fn untold(store: &dyn Store) -> u64 {
    let mut count = 0;
    for outbox in store.outboxes() {
        count += outbox.backlog().await.unwrap().count;
    }
    count
}
