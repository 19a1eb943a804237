//! The order service with everything around it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt as _, TryStreamExt as _};
use tempfile::TempDir;
use time::macros::datetime;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::id::{Bucket, OrderId, UserId};
use trellis_api::inventory::v1::inventory_service_server::InventoryServiceServer;
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_client::OrderServiceClient;
use trellis_api::payment::v1::payment_service_server::PaymentServiceServer;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::{CheckoutItem, Order};
use trellis_chassis::{Clock as _, ManualClock, Shutdown, Transport, transport};
use trellis_events::Event;
use trellis_events::bus::{Bus, Delivery, Outcome};
use trellis_order::store::{self, Store};
use trellis_order::{Needs, Settings};
use trellis_storage::{Faults, Options};
use trellis_telemetry::Metrics;
use uuid::Uuid;

use super::world::{Call, Product, World};

/// What a restart leaves in place: the disk, the clock, the world outside.
#[derive(Clone)]
pub(crate) struct Ground {
    folder: Arc<TempDir>,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
    pub(crate) heard: Heard,
    pub(crate) user_id: UserId,
    pub(crate) metrics: Metrics,
}

/// A running order service.
pub(crate) struct Shop {
    pub(crate) ground: Ground,
    pub(crate) orders: OrderServiceClient<Transport>,
    pub(crate) consumer: ConsumerServiceClient<Transport>,
    pub(crate) store: Arc<dyn Store>,
    /// Counts the commits.
    pub(crate) faults: Faults,
    shutdown: Shutdown,
}

/// A bus that delivers to a list.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    events: Arc<Mutex<Vec<Event>>>,
    more: Arc<Notify>,
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

    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(datetime!(2026-11-22 10:00 UTC));
        let user_id = UserId::new(clock.now(), Bucket::random());
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
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (heard, metrics) = (Heard::default(), Metrics::default());
        Self { folder, clock, world, heard, user_id, metrics }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("order.db")
    }

    pub(crate) fn open_store(&self, faults: Faults) -> Arc<dyn Store> {
        let database = format!("sqlite:{}", self.database().display());
        let options = Options { faults, ..Options::default() };
        let opened = store::open(&database.parse().unwrap(), &options).now_or_never();
        opened.expect("a file is opened at once").unwrap()
    }

    pub(crate) async fn open(&self) -> Shop {
        let settings = Settings { recovery_interval_milliseconds: 10, ..Settings::default() };
        self.open_with(settings, Faults::default()).await.unwrap()
    }

    pub(crate) async fn open_with(
        &self,
        settings: Settings,
        faults: Faults,
    ) -> anyhow::Result<Shop> {
        let store = self.open_store(faults.clone());
        let shutdown = Shutdown::default();
        let needs = self.needs(&store);
        let started = trellis_order::start(&settings, needs, &shutdown).await;
        let routes = match started {
            Ok(routes) => transport::local(routes),
            Err(error) => {
                shutdown.request();
                shutdown.finish(Duration::from_secs(10)).await?;
                return Err(error);
            }
        };
        Ok(Shop {
            ground: self.clone(),
            orders: OrderServiceClient::new(routes.clone()),
            consumer: ConsumerServiceClient::new(routes),
            store,
            faults,
            shutdown,
        })
    }
}

impl Shop {
    pub(crate) async fn new() -> Self {
        Ground::new().open().await
    }

    pub(crate) fn world(&self) -> &World {
        &self.ground.world
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.ground.clock.advance(by);
    }

    /// Moves the clock on, step by step, until a call of this kind comes.
    pub(crate) async fn advance_until_called(&self, call: Call, step: Duration) {
        let next = self.world().calls(call) + 1;
        loop {
            self.advance(step);
            let called = self.world().called(call, next);
            if timeout(Duration::from_millis(100), called).await.is_ok() {
                return;
            }
        }
    }

    /// Waits for something, while the time passes a second after the other.
    pub(crate) async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match timeout(Duration::from_millis(100), &mut work).await {
                Ok(done) => return done,
                Err(_) => self.advance(Duration::from_secs(1)),
            }
        }
    }

    /// Stops, and gives the file free.
    pub(crate) async fn stop(self) -> Ground {
        self.shutdown.request();
        self.shutdown.finish(Duration::from_secs(20)).await.unwrap();
        self.ground.clone()
    }

    /// A purchase of two mugs with this token.
    pub(crate) fn purchase(&self, token: &str) -> pb::CheckoutRequest {
        pb::CheckoutRequest {
            user_id: self.ground.user_id.to_string(),
            request_id: Uuid::new_v4().to_string(),
            payment_token: token.to_owned(),
            items: vec![CheckoutItem { sku: "MUG".to_owned(), quantity: 2 }],
        }
    }

    pub(crate) async fn checkout(
        &self,
        request: pb::CheckoutRequest,
    ) -> Result<Response<pb::CheckoutResponse>, Status> {
        self.orders.clone().checkout(request).await
    }

    /// Buys, and returns the order as the answer has it.
    pub(crate) async fn buy(&self, token: &str) -> Order {
        let response = self.checkout(self.purchase(token)).await.unwrap();
        response.into_inner().order.unwrap()
    }

    /// Buys without waiting for the end.
    pub(crate) async fn begin(&self, token: &str) -> Order {
        let mut request = Request::new(self.purchase(token));
        request.set_timeout(Duration::from_millis(400));
        let response = self.orders.clone().checkout(request).await.unwrap();
        response.into_inner().order.unwrap()
    }

    pub(crate) async fn cancel(
        &self,
        order_id: &str,
        request_id: Uuid,
    ) -> Result<Response<pb::CancelOrderResponse>, Status> {
        let request = pb::CancelOrderRequest {
            user_id: self.ground.user_id.to_string(),
            order_id: order_id.to_owned(),
            request_id: request_id.to_string(),
        };
        self.orders.clone().cancel_order(request).await
    }

    /// Notes the wish to cancel without waiting for what comes of it.
    pub(crate) async fn note_cancel(&self, order_id: &str) -> Order {
        let mut request = Request::new(pb::CancelOrderRequest {
            user_id: self.ground.user_id.to_string(),
            order_id: order_id.to_owned(),
            request_id: Uuid::new_v4().to_string(),
        });
        request.set_timeout(Duration::from_millis(400));
        let response = self.orders.clone().cancel_order(request).await.unwrap();
        response.into_inner().order.unwrap()
    }

    pub(crate) async fn order(&self, order_id: &str) -> Order {
        let user_id = self.ground.user_id.to_string();
        let request = pb::GetOrderRequest { user_id, order_id: order_id.to_owned() };
        self.orders.clone().get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// Every order of the customer.
    pub(crate) async fn all_orders(&self) -> Vec<Order> {
        let request = pb::ListOrdersRequest {
            user_id: self.ground.user_id.to_string(),
            page_size: 100,
            page_token: String::new(),
        };
        self.orders.clone().list_orders(request).await.unwrap().into_inner().orders
    }

    /// The states that a watcher sees until the order is final.
    pub(crate) async fn watch(&self, order_id: &str) -> Vec<State> {
        let user_id = self.ground.user_id.to_string();
        let request = pb::WatchOrderRequest { user_id, order_id: order_id.to_owned() };
        let stream = self.orders.clone().watch_order(request).await.unwrap().into_inner();
        stream.map_ok(|response| response.order.unwrap().state()).try_collect().await.unwrap()
    }

    /// The order once it is final, which may take time.
    pub(crate) async fn settled(&self, order_id: &str) -> Order {
        self.while_time_passes(self.watch(order_id)).await;
        self.order(order_id).await
    }

    /// The service's checks that fail.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let parts = self.orders.clone().audit_orders(pb::AuditOrdersRequest {}).await.unwrap();
        let parts: Vec<_> = parts.into_inner().try_collect().await.unwrap();
        let checks = parts.into_iter().flat_map(|part| part.checks);
        checks.filter(|check| !check.violations.is_empty()).map(|check| check.invariant).collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

impl Heard {
    /// The different events of a kind that were delivered about this subject.
    pub(crate) fn count(&self, kind: &str, subject: &str) -> usize {
        let events = self.events.lock().unwrap();
        let ids = events
            .iter()
            .filter(|event| event.r#type == kind && event.subject == subject)
            .map(|event| &event.event_id);
        ids.collect::<std::collections::BTreeSet<_>>().len()
    }

    pub(crate) fn find(&self, kind: &str) -> Option<Event> {
        self.events.lock().unwrap().iter().find(|event| event.r#type == kind).cloned()
    }

    /// Waits until an event of this kind has been delivered.
    pub(crate) async fn heard(&self, kind: &str) -> Event {
        loop {
            let more = self.more.notified();
            if let Some(event) = self.find(kind) {
                return event;
            }
            timeout(Duration::from_secs(20), more).await.unwrap();
        }
    }
}

#[async_trait]
impl Bus for Heard {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let outcomes = vec![Outcome::Delivered; deliveries.len()];
        self.events.lock().unwrap().extend(deliveries.into_iter().map(|delivery| delivery.event));
        self.more.notify_waiters();
        outcomes
    }
}

pub(crate) fn parse(order_id: &str) -> OrderId {
    order_id.parse().unwrap()
}

/// Waits until `reached` says so, which it must within half a minute.
pub(crate) async fn until(reached: impl AsyncFn() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to pass");
}
