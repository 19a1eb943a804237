//! The bus without a broker.

use tonic::service::Routes;
use tonic::{Request, Response, Status};
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::consumer_service_server::{ConsumerService, ConsumerServiceServer};
use trellis_chassis::transport;
use trellis_events::bus::{Bus as _, Delivery, Direct, Outcome, Subscriber};
use trellis_storage::Faults;

use crate::world::{CANCELLED, CONFIRMED, Consumer, Mood, clock, event};

#[tokio::test]
async fn the_heaviest_outcome_of_all_consumers_is_that_of_the_event() {
    let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
    let open = async |name| Consumer::open(folder.path(), name, &clock, &faults).await;
    let (well, ill, away) = (open("well").await, open("ill").await, open("away").await);
    ill.take("", Mood::Ill);
    away.leave();
    let bus = Direct::default();
    bus.connect(vec![
        away.subscribe(&[CONFIRMED]),
        ill.subscribe(&[CONFIRMED, CANCELLED]),
        well.subscribe(&[CONFIRMED, CANCELLED, "order.refunded"]),
    ]);
    let deliveries = ["order.refunded", CANCELLED, CONFIRMED]
        .map(|kind| Delivery::first(event(&clock, kind, kind)));

    let outcomes = bus.publish(deliveries.to_vec()).await;

    assert_eq!(outcomes[0], Outcome::Delivered(None));
    assert_eq!(outcomes[1], Outcome::Refused("ill: not feeling well".to_owned()));
    assert!(matches!(&outcomes[2], Outcome::Unreachable(error) if error.starts_with("away: ")));
    assert_eq!(well.effects().await, [CANCELLED, CONFIRMED, "order.refunded"]);
}

/// A consumer of another make, which answers in its own way.
struct Stranger(Vec<pb::DeliveryOutcome>);

#[tonic::async_trait]
impl ConsumerService for Stranger {
    async fn deliver_events(
        &self,
        _: Request<pb::DeliverEventsRequest>,
    ) -> Result<Response<pb::DeliverEventsResponse>, Status> {
        Ok(Response::new(pb::DeliverEventsResponse { outcomes: self.0.clone() }))
    }

    async fn list_dead_letters(
        &self,
        _: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        Ok(Response::new(pb::ListDeadLettersResponse::default()))
    }

    async fn replay_dead_letters(
        &self,
        _: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<pb::ReplayDeadLettersResponse>, Status> {
        Ok(Response::new(pb::ReplayDeadLettersResponse::default()))
    }
}

async fn ask(outcomes: Vec<pb::DeliveryOutcome>) -> Outcome {
    let routes = Routes::new(ConsumerServiceServer::new(Stranger(outcomes)));
    let bus = Direct::default();
    let transport = transport::local(routes);
    bus.connect(vec![Subscriber { consumer: "stranger", kinds: &[CONFIRMED], transport }]);
    let deliveries = vec![Delivery::first(event(&clock(), CONFIRMED, "order"))];
    bus.publish(deliveries).await.remove(0)
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_counts_as_none() {
    let miscounted = ask(Vec::new()).await;
    let undecided = ask(vec![pb::DeliveryOutcome::default()]).await;

    let error = "stranger: 0 outcomes for 1 events".to_owned();
    assert_eq!(miscounted, Outcome::Unreachable(error));
    let error = "stranger: an outcome without a verdict".to_owned();
    assert_eq!(undecided, Outcome::Unreachable(error));
}
