//! A running service and the words to speak with it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use time::OffsetDateTime;
use time::macros::datetime;
use tonic::Status;
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::id::{Bucket, OrderId};
use trellis_api::recommendation::v1::recommendation_service_client::RecommendationServiceClient;
use trellis_api::recommendation::v1::{
    AuditRecommendationsRequest, AuditRecommendationsResponse, RecommendRequest,
};
use trellis_chassis::{Clock as _, ManualClock, Shutdown, Transport, transport};
use trellis_events::Event;
use trellis_recommendation::{Needs, Settings, Store};
use trellis_storage::{Faults, Options};
use trellis_telemetry::Metrics;
use trellis_testkit::Database;
use uuid::Uuid;

pub(crate) const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:30 UTC);

/// The service in this process, with a database of its own or one that others share.
pub(crate) struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    database: Arc<Database>,
    shutdown: Shutdown,
    recommendation: RecommendationServiceClient<Transport>,
    consumer: ConsumerServiceClient<Transport>,
}

pub(crate) async fn database() -> Arc<Database> {
    Arc::new(Database::chosen("recommendation").await)
}

pub(crate) async fn open(database: &Database, faults: Faults) -> Arc<dyn Store> {
    let options = Options { faults, ..Options::default() };
    trellis_recommendation::open(&database.url().parse().unwrap(), &options).await.unwrap()
}

/// The id of an event, which is known by a number.
pub(crate) fn event_id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(Faults::default()).await
    }

    pub(crate) async fn start_with(faults: Faults) -> Self {
        Self::start_on(database().await, faults, ManualClock::new(MONDAY)).await
    }

    pub(crate) async fn start_on(
        database: Arc<Database>,
        faults: Faults,
        clock: ManualClock,
    ) -> Self {
        let store = open(&database, faults).await;
        let shutdown = Shutdown::default();
        let needs = Needs {
            store: Arc::clone(&store),
            clock: Arc::new(clock.clone()),
            metrics: Metrics::default(),
        };
        let routes =
            trellis_recommendation::start(&Settings::default(), needs, &shutdown).await.unwrap();
        let road = transport::local(routes);
        Self {
            store,
            clock,
            database,
            shutdown,
            recommendation: RecommendationServiceClient::new(road.clone()),
            consumer: ConsumerServiceClient::new(road),
        }
    }

    /// Stops, and gives the database free.
    pub(crate) async fn stop(self) -> (Arc<Database>, ManualClock) {
        self.shutdown.request();
        self.shutdown.finish(Duration::from_secs(5)).await.unwrap();
        (self.database, self.clock)
    }

    pub(crate) async fn restart(self) -> Self {
        let (database, clock) = self.stop().await;
        Self::start_on(database, Faults::default(), clock).await
    }

    pub(crate) async fn recommend(&self, skus: &[&str], page_size: i32) -> Vec<String> {
        self.try_recommend(skus, page_size).await.unwrap()
    }

    pub(crate) async fn try_recommend(
        &self,
        skus: &[&str],
        page_size: i32,
    ) -> Result<Vec<String>, Status> {
        let skus = skus.iter().map(|&sku| sku.to_owned()).collect();
        let request = RecommendRequest { skus, page_size };
        Ok(self.recommendation.clone().recommend(request).await?.into_inner().skus)
    }

    pub(crate) async fn audit(&self) -> Vec<AuditRecommendationsResponse> {
        let request = AuditRecommendationsRequest {};
        let parts = self.recommendation.clone().audit_recommendations(request).await.unwrap();
        parts.into_inner().map(Result::unwrap).collect().await
    }

    /// The invariants that are broken.
    pub(crate) async fn broken(&self) -> Vec<String> {
        let checks = self.audit().await.remove(0).checks;
        let broken = checks.into_iter().filter(|check| !check.violations.is_empty());
        broken.map(|check| check.invariant).collect()
    }

    /// Tells of a confirmed order that holds one of each.
    pub(crate) async fn bought(&self, skus: &[&str]) -> Event {
        let event = confirmed(self.clock.now(), skus);
        assert_eq!(self.deliver(&event).await.0, Verdict::Done);
        event
    }

    /// Tells of so many looks at a product.
    pub(crate) async fn looked_at(&self, sku: &str, times: usize) {
        for _ in 0..times {
            let event = viewed(self.clock.now(), sku);
            assert_eq!(self.deliver(&event).await.0, Verdict::Done);
        }
    }

    pub(crate) async fn deliver(&self, event: &Event) -> (Verdict, String) {
        let delivery = pb::Delivery { event: Some(event.clone()), attempt: 1 };
        let request = pb::DeliverEventsRequest { deliveries: vec![delivery] };
        let mut answer = self.consumer.clone().deliver_events(request).await.unwrap().into_inner();
        let outcome = answer.outcomes.remove(0);
        (outcome.verdict(), outcome.error)
    }

    pub(crate) async fn dead_letters(&self) -> Vec<pb::DeadLetter> {
        let request = pb::ListDeadLettersRequest::default();
        self.consumer.clone().list_dead_letters(request).await.unwrap().into_inner().dead_letters
    }
}

pub(crate) fn confirmed(now: OffsetDateTime, skus: &[&str]) -> Event {
    let order_id = OrderId::new(now, Bucket::random());
    let items =
        skus.iter().map(|&sku| pb::EventItem { sku: sku.to_owned(), quantity: 1 }).collect();
    let payload =
        pb::OrderConfirmed { order_id: order_id.to_string(), items, ..Default::default() };
    event(now, "order.confirmed", &payload.order_id, &payload)
}

pub(crate) fn viewed(now: OffsetDateTime, sku: &str) -> Event {
    event(now, "product.viewed", sku, &pb::ProductViewed { sku: sku.to_owned() })
}

pub(crate) fn event(
    now: OffsetDateTime,
    kind: &'static str,
    subject: &str,
    payload: &impl prost::Message,
) -> Event {
    trellis_events::event(now, Bucket::random(), kind, subject, payload)
}
