//! The order service with everything around it.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_client::OrderServiceClient;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::{CheckoutItem, Order};
use trellis_chassis::{Clock as _, Shutdown, Transport, transport};
use trellis_order::Settings;
use trellis_order::store::Store;
use trellis_storage::Faults;
use uuid::Uuid;

use super::ground::Ground;
use super::world::{Call, World};

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

impl Ground {
    pub(crate) async fn open(&self) -> Shop {
        let settings = Settings { recovery_interval_milliseconds: 10, ..Settings::default() };
        self.open_with(settings, Faults::default()).await.unwrap()
    }

    pub(crate) async fn open_with(
        &self,
        settings: Settings,
        faults: Faults,
    ) -> anyhow::Result<Shop> {
        let store = self.open_store(faults.clone()).await;
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
        Ground::new().await.open().await
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

    /// Waits until the saga of the only order rests. Before it does, it has a lease that
    /// would lapse if the time went on.
    pub(crate) async fn is_put_off(&self) {
        until(async || {
            let orders = self.store.audited_orders(None).await.unwrap();
            orders[0].next_attempt_time.is_some_and(|next| self.ground.clock.now() < next)
        })
        .await;
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

    /// Stops, and gives the records free.
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

/// Waits until `reached` says so, which it must within half a minute.
pub(crate) async fn until(reached: impl AsyncFn() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to pass");
}
