//! A gateway with everything around it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use time::macros::datetime;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tower::ServiceExt as _;
use trellis_api::inventory::v1::inventory_service_server::InventoryServiceServer;
use trellis_api::order::v1::order_service_server::OrderServiceServer;
use trellis_api::recommendation::v1::recommendation_service_server::RecommendationServiceServer;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_api::user::v1::user_service_server::UserServiceServer;
use trellis_chassis::transport::Roads;
use trellis_chassis::{ManualClock, Shutdown, Transport, transport};
use trellis_events::bus::{Bus, Delivery, Outcome};
use trellis_gateway::{Needs, Settings};
use trellis_resilience::policy::PolicyTable;

use super::peers::{Peers, Product, SESSION};

/// A running gateway.
pub(crate) struct Shop {
    pub(crate) peers: Peers,
    pub(crate) clock: ManualClock,
    pub(crate) client: ShopServiceClient<Transport>,
    router: Router,
    shutdown: Shutdown,
}

/// What an HTTP caller gets.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

/// A bus that nobody listens to.
struct Nobody;

impl Shop {
    /// Sells mugs, tea and jars; who looks at one of them is shown the others.
    pub(crate) fn new() -> Self {
        Self::over(|_| {})
    }

    /// Reaches its peers over other roads.
    pub(crate) fn over(detour: impl FnOnce(&mut Needs)) -> Self {
        let peers = Peers::default();
        for (sku, price) in [("MUG", 350), ("TEA", 1_200), ("JAR", 500)] {
            let product = Product { price, available: 10 };
            peers.state().products.insert(sku.to_owned(), product);
        }
        peers.state().suggested = vec!["TEA", "JAR"];
        let clock = ManualClock::new(datetime!(2026-11-22 10:00 UTC));
        let inventory = InventoryServiceServer::new(peers.clone());
        let recommendation = RecommendationServiceServer::new(peers.clone());
        let roads = Roads::new();
        let mut needs = Needs {
            user: transport::local(Routes::new(UserServiceServer::new(peers.clone()))),
            inventory: transport::local(Routes::new(inventory)),
            payment: transport::local(Routes::default()),
            order: transport::local(Routes::new(OrderServiceServer::new(peers.clone()))),
            recommendation: transport::local(Routes::new(recommendation)),
            front: roads.front("gateway", PolicyTable::default()),
            roads,
            bus: Arc::new(Nobody),
            clock: Arc::new(clock.clone()),
            admin_token: "admin".into(),
            redis: None,
        };
        detour(&mut needs);
        let shutdown = Shutdown::default();
        let router = trellis_gateway::start(&Settings::default(), needs, &shutdown).unwrap();
        let client = ShopServiceClient::new(transport::local(Routes::from(router.clone())));
        Self { peers, clock, client, router, shutdown }
    }

    pub(crate) async fn page(&self, sku: &str) -> Result<Response<pb::GetProductResponse>, Status> {
        let request = pb::GetProductRequest { sku: sku.to_owned(), ..Default::default() };
        self.client.clone().get_product(request).await
    }

    /// A call by HTTP of the customer who is signed in.
    pub(crate) async fn http(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {SESSION}"));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&body).unwrap();
        Answer { status: parts.status, headers: parts.headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.http(Method::GET, path, &[], "").await
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

#[tonic::async_trait]
impl Bus for Nobody {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        vec![Outcome::Delivered(None); deliveries.len()]
    }
}

/// A message of the customer who is signed in.
pub(crate) fn signed_in<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let session = format!("Bearer {SESSION}").parse().unwrap();
    request.metadata_mut().insert("authorization", session);
    request
}

/// A message whose answer must come within `time`.
pub(crate) fn within<T>(time: Duration, mut request: Request<T>) -> Request<T> {
    request.set_timeout(time);
    request
}

/// What an answer says about keeping it.
pub(crate) fn may_be_kept<T>(response: &Response<T>) -> bool {
    response.metadata().get("cache-control").is_none_or(|policy| policy != "no-store")
}
