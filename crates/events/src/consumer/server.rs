//! `ConsumerService`: takes deliveries, keeps dead letters, replays them.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use trellis_api::error::{Invalid, Violation};
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::consumer_service_server::ConsumerService;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::page::PageSize;
use trellis_api::timestamp;
use trellis_chassis::Clock;
use uuid::Uuid;

use tracing::{Instrument as _, Span};

use super::attempt::attempt;
use super::meters::{End, Meters};
use super::{Failure, Handler, MAX_DELIVERIES};
use crate::bus::Delivery;
use crate::dead_letter::{DeadLetter, DeadLetters, Replay};
use crate::{Event, MAX_ATTEMPTS, trace};

/// How many dead letters are listed when the caller does not say.
const DEFAULT_PAGE: u32 = 20;
/// How many dead letters are replayed at once.
const REPLAYS: u32 = 100;

/// Stands between the wire and a [`Handler`].
pub struct Consumer {
    name: &'static str,
    handler: Arc<dyn Handler>,
    dead_letters: Arc<dyn DeadLetters>,
    clock: Arc<dyn Clock>,
    meters: Meters,
}

impl Consumer {
    pub(super) fn new(
        name: &'static str,
        handler: Arc<dyn Handler>,
        dead_letters: Arc<dyn DeadLetters>,
        clock: Arc<dyn Clock>,
        meters: Meters,
    ) -> Self {
        Self { name, handler, dead_letters, clock, meters }
    }

    async fn take(&self, delivery: Delivery) -> pb::DeliveryOutcome {
        let Delivery { event, attempt: attempts, .. } = delivery;
        let span = trace::process(&event, self.name, attempts);
        let (began, kind) = (Instant::now(), event.r#type.clone());
        let work = async {
            match attempt(self.handler.as_ref(), &event).await {
                Ok(()) => {
                    self.meters.applied(&event, self.clock.now());
                    (End::Applied, done())
                }
                Err(Failure::Away(error)) => {
                    Span::current().record("otel.status_code", "ERROR");
                    (End::Refused, away(error))
                }
                Err(Failure::Transient(error)) if attempts < MAX_ATTEMPTS => {
                    Span::current().record("otel.status_code", "ERROR");
                    (End::Refused, retry(error))
                }
                Err(Failure::Transient(error) | Failure::Permanent(error)) => {
                    Span::current().record("otel.status_code", "ERROR");
                    self.give_up(event, attempts, error).await
                }
            }
        };
        let (end, outcome) = work.instrument(span).await;
        self.meters.count(&kind, end, began.elapsed());
        outcome
    }

    /// While the letter cannot be written the event stays with the sender.
    async fn give_up(
        &self,
        event: Event,
        attempts: u32,
        error: String,
    ) -> (End, pb::DeliveryOutcome) {
        let create_time = self.clock.now();
        let letter = DeadLetter { event, attempts, error, create_time };
        let (event_id, kind) = (letter.event.event_id.clone(), letter.event.r#type.clone());
        let error = letter.error.clone();
        match self.dead_letters.bury(self.name, letter).await {
            Ok(()) => {
                let consumer = self.name;
                tracing::error!(
                    consumer,
                    event_id,
                    kind,
                    attempts,
                    error,
                    "event is a dead letter"
                );
                (End::DeadLetter, done())
            }
            Err(unwritten) => {
                let unwritten = &unwritten as &dyn std::error::Error;
                tracing::error!(event_id, error = unwritten, "dead letter was not written");
                (End::Refused, retry(error))
            }
        }
    }

    /// Tries letters again and writes down what became of them.
    async fn replay(&self, letters: Vec<DeadLetter>) -> Result<Replayed, Status> {
        let replays = join_all(letters.into_iter().map(async |letter| {
            let result = attempt(self.handler.as_ref(), &letter.event).await;
            let error = result.err().map(|failure| failure.to_string());
            Replay { event_id: letter.event.event_id, error }
        }))
        .await;

        let total = replays.len();
        let failed = replays.iter().filter(|replay| replay.error.is_some()).count();
        self.dead_letters.settle(self.name, replays).await?;
        Ok(Replayed { replayed: total - failed, failed })
    }

    async fn replay_all(&self) -> Result<Replayed, Status> {
        let mut sum = Replayed::default();
        let mut place = None;
        loop {
            let letters = self.dead_letters.list(self.name, place, REPLAYS).await?;
            let Some(last) = letters.last() else { return Ok(sum) };
            // What fails again stays, so the way leads past it.
            place = Some(last.place());
            sum.add(&self.replay(letters).await?);
        }
    }

    async fn replay_some(&self, event_ids: &[String]) -> Result<Replayed, Status> {
        let mut sum = Replayed::default();
        for event_ids in event_ids.chunks(REPLAYS as usize) {
            let letters = self.dead_letters.find(self.name, event_ids.to_vec()).await?;
            sum.add(&self.replay(letters).await?);
        }
        Ok(sum)
    }
}

#[tonic::async_trait]
impl ConsumerService for Consumer {
    async fn deliver_events(
        &self,
        request: Request<pb::DeliverEventsRequest>,
    ) -> Result<Response<pb::DeliverEventsResponse>, Status> {
        let deliveries = read_deliveries(request.into_inner().deliveries)?;
        let outcomes = join_all(deliveries.into_iter().map(|delivery| self.take(delivery))).await;
        Ok(Response::new(pb::DeliverEventsResponse { outcomes }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let size = PageSize::parse(request.into_inner().page_size, DEFAULT_PAGE)?;
        let letters = self.dead_letters.list(self.name, None, size.get()).await?;
        let dead_letters = letters.into_iter().map(shown).collect();
        Ok(Response::new(pb::ListDeadLettersResponse { dead_letters }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<pb::ReplayDeadLettersResponse>, Status> {
        let event_ids = request.into_inner().event_ids;
        let violations: Vec<_> = event_ids
            .iter()
            .enumerate()
            .filter_map(|(index, id)| check_event_id(&format!("event_ids[{index}]"), id).err())
            .collect();
        if !violations.is_empty() {
            return Err(Invalid::from(violations).into());
        }

        let Replayed { replayed, failed } = if event_ids.is_empty() {
            self.replay_all().await?
        } else {
            self.replay_some(&event_ids).await?
        };
        tracing::info!(consumer = self.name, replayed, failed, "dead letters replayed");
        let count = |n: usize| i64::try_from(n).expect("memory holds fewer letters");
        let response =
            pb::ReplayDeadLettersResponse { replayed: count(replayed), failed: count(failed) };
        Ok(Response::new(response))
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Without its payload: a hundred of them would not fit into a message, and they can be
/// personal.
fn shown(letter: DeadLetter) -> pb::DeadLetter {
    let event = Event { payload: Bytes::new(), ..letter.event };
    pb::DeadLetter {
        event: Some(event),
        attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
        error: letter.error,
        create_time: Some(timestamp::to_proto(letter.create_time)),
    }
}

#[derive(Default)]
struct Replayed {
    replayed: usize,
    failed: usize,
}

impl Replayed {
    fn add(&mut self, other: &Self) {
        self.replayed += other.replayed;
        self.failed += other.failed;
    }
}

fn done() -> pb::DeliveryOutcome {
    pb::DeliveryOutcome { verdict: Verdict::Done.into(), error: String::new() }
}

fn retry(error: String) -> pb::DeliveryOutcome {
    pb::DeliveryOutcome { verdict: Verdict::Retry.into(), error }
}

fn away(error: String) -> pb::DeliveryOutcome {
    pb::DeliveryOutcome { verdict: Verdict::Away.into(), error }
}

fn read_deliveries(deliveries: Vec<pb::Delivery>) -> Result<Vec<Delivery>, Invalid> {
    if MAX_DELIVERIES < deliveries.len() {
        let description = format!("must be at most {MAX_DELIVERIES}");
        return Err(Violation::new("deliveries", description).into());
    }
    let mut violations = Vec::new();
    let mut read = Vec::with_capacity(deliveries.len());
    for (index, delivery) in deliveries.into_iter().enumerate() {
        match read_delivery(&format!("deliveries[{index}]"), delivery) {
            Ok(delivery) => read.push(delivery),
            Err(violation) => violations.push(violation),
        }
    }
    if violations.is_empty() { Ok(read) } else { Err(violations.into()) }
}

fn read_delivery(path: &str, delivery: pb::Delivery) -> Result<Delivery, Violation> {
    let event =
        delivery.event.ok_or_else(|| Violation::new(format!("{path}.event"), "must be there"))?;
    check_event_id(&format!("{path}.event.event_id"), &event.event_id)?;
    let attempt = u32::try_from(delivery.attempt).unwrap_or(0);
    if attempt == 0 {
        return Err(Violation::new(format!("{path}.attempt"), "must be at least 1"));
    }
    Ok(Delivery { event, attempt, losses: 0 })
}

fn check_event_id(path: &str, text: &str) -> Result<(), Violation> {
    if is_event_id(text) {
        return Ok(());
    }
    Err(Violation::new(path, "must be a UUID with hyphens, in lower case"))
}

/// One event must not have two ids, so only the usual way to write one will do.
pub(crate) fn is_event_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == text)
}
