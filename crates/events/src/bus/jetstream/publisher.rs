//! The publishing side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};
use trellis_telemetry::Metrics;

use super::connection::{Connection, IN_FLIGHT, PATIENCE, Session};
use super::meters::PublisherMeters;
use super::{message, subject};
use crate::bus::{Archive, Bus, Delivery, Outcome, Receipt};
use crate::consumer::chain;

/// How often a connection is looked for when there is none.
const LOOK: Duration = Duration::from_millis(250);

/// The bus of one service over JetStream.
pub struct Publisher {
    connection: Arc<Connection>,
    service: &'static str,
    meters: PublisherMeters,
}

impl Publisher {
    pub(super) fn new(
        connection: Arc<Connection>,
        service: &'static str,
        metrics: &Metrics,
    ) -> Self {
        Self { connection, service, meters: PublisherMeters::new(service, metrics) }
    }

    async fn send(&self, session: &Session, delivery: &Delivery, floor: u64) -> Outcome {
        let began = Instant::now();
        // The first of two waits is for others to be acknowledged.
        let acknowledged = timeout(2 * PATIENCE, self.acknowledged(session, delivery)).await;
        let outcome = match acknowledged {
            Ok(Ok(ack)) => self.judge(session, &ack, floor),
            Ok(Err(error)) => {
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.connection.doubt(session);
                }
                Outcome::Unreachable(chain(&error))
            }
            Err(_) => Outcome::Unreachable("not acknowledged in time".to_owned()),
        };
        self.meters.count(&outcome, began.elapsed());
        outcome
    }

    async fn acknowledged(
        &self,
        session: &Session,
        delivery: &Delivery,
    ) -> Result<PublishAck, PublishError> {
        let subject = subject::of(self.service, &delivery.event);
        session.context.send_publish(subject, message::write(delivery)).await?.await
    }

    /// A place that was given before means that the server has lost what was there, and
    /// perhaps more.
    fn judge(&self, session: &Session, ack: &PublishAck, floor: u64) -> Outcome {
        if !ack.duplicate && ack.sequence <= floor {
            self.connection.doubt(session);
            return Outcome::Unreachable("the stream went back".to_owned());
        }
        session.reached(ack.sequence);
        let stream = Arc::clone(&session.stream);
        Outcome::Delivered(Some(Receipt { stream, sequence: ack.sequence }))
    }
}

#[async_trait::async_trait]
impl Bus for Publisher {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let session = match self.connection.session().await {
            Ok(session) => session,
            Err(error) => return vec![Outcome::Unreachable(error); deliveries.len()],
        };
        let floor = session.highest();
        let sends: Vec<_> =
            deliveries.iter().map(|delivery| self.send(&session, delivery, floor)).collect();
        stream::iter(sends).buffered(IN_FLIGHT).collect().await
    }

    async fn ready(&self) {
        while self.connection.session().await.is_err() {
            sleep(LOOK).await;
        }
    }

    fn archive(&self) -> Option<&dyn Archive> {
        Some(self.connection.as_ref())
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("service", &self.service).finish_non_exhaustive()
    }
}
