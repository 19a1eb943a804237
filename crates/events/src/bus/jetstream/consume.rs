//! The consuming side: pulls events and hands them to a consumer.
//!
//! The server remembers for each consumer and each kind what is settled (a durable). One
//! for each kind, because a server of version 2.9 filters by one subject only; and so a
//! kind that cannot be applied holds up no other. Not one for each partition: nobody is
//! promised an order.

mod hand;

use std::pin::pin;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::{AckKind, Message};
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};
use trellis_chassis::Shutdown;
use trellis_telemetry::Metrics;

use super::connection::{Connection, Session};
use super::meters::ConsumerMeters;
use super::{stream, subject};
use crate::bus::road::Road;
use crate::bus::{Archive as _, Subscriber};
use crate::consumer::chain;
use crate::relay::WHILE_AWAY;

/// The most events of a kind that are in hand in one process: a few for each connection
/// to a database. More would only wait there.
const HANDS: usize = 32;
/// The most that are handed to all processes and not settled.
const MAX_ACK_PENDING: i64 = 256;
/// How long the server waits for events to answer a pull with.
const PULL: Duration = Duration::from_secs(5);
/// How often it is asked whether the connection is still the same.
const LOOK: Duration = Duration::from_millis(250);
/// So many failures in a row are no news: a process that has just begun has no connection.
const TOLD_AFTER: u32 = 1;
/// How often the server is asked how much waits.
const WATCH: Duration = Duration::from_secs(10);
/// How long what is in hand may hold up a stop: an attempt, and its acknowledgement.
const GRACE: Duration = Duration::from_secs(6);

/// What is in hand, each until it is settled.
type Hands<'a> = FuturesUnordered<BoxFuture<'a, ()>>;

/// Pulls the events of one kind for one consumer.
struct Listener<'a> {
    connection: &'a Connection,
    road: &'a Road,
    consumer: &'static str,
    kind: &'static str,
    meters: ConsumerMeters,
    shutdown: &'a Shutdown,
}

/// Hands over events until a stop is requested.
pub(super) async fn run(
    connection: &Connection,
    subscriber: Subscriber,
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let Subscriber { consumer, kinds, .. } = subscriber;
    let road = &Road::new(subscriber);
    let listen = |&kind: &&'static str| async move {
        let meters = ConsumerMeters::new(consumer, kind, metrics);
        let listener = Listener { connection, road, consumer, kind, meters, shutdown };
        tokio::select! {
            () = listener.run() => {}
            () = listener.watch() => {}
        }
    };
    join_all(kinds.iter().map(listen)).await;
}

impl Listener<'_> {
    async fn run(&self) {
        let mut hands = Hands::new();
        let mut failures = 0;
        while !self.shutdown.is_requested() {
            let end = self.listen(&mut hands, &mut failures).await;
            let Err(error) = end else { continue };
            if failures == TOLD_AFTER {
                let (consumer, kind) = (self.consumer, self.kind);
                tracing::warn!(consumer, kind, error, "consumer hears nothing");
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = sleep(WHILE_AWAY.delay(failures)) => {}
                () = work(&mut hands) => {}
                () = self.shutdown.requested() => {}
            }
        }
        let rest = async { while hands.next().await.is_some() {} };
        if timeout(GRACE, rest).await.is_err() {
            tracing::warn!(consumer = self.consumer, "events in hand were left to be sent again");
        }
    }

    /// Pulls until a stop is requested, the connection is another, or something fails.
    async fn listen<'b>(&'b self, hands: &mut Hands<'b>, failures: &mut u32) -> Result<(), String> {
        let (session, durable) = tokio::select! {
            begun = self.begin() => begun?,
            () = work(hands) => unreachable!("it goes on for ever"),
        };
        if TOLD_AFTER < *failures {
            tracing::info!(consumer = self.consumer, kind = self.kind, "consumer hears again");
        }
        *failures = 0;
        loop {
            let room = HANDS - hands.len();
            if room == 0 {
                tokio::select! {
                    _ = hands.next() => continue,
                    () = self.shutdown.requested() => return Ok(()),
                }
            }
            let batch = tokio::select! {
                batch = self.pull(&session, &durable, room) => batch?,
                () = work(hands) => unreachable!("it goes on for ever"),
            };
            let Some(batch) = batch else { return Ok(()) };
            if !self.take(batch, &session, hands).await? {
                return Ok(());
            }
        }
    }

    /// Asks for events; `None` where the connection is another. Without one the request
    /// would wait in the client, and come late.
    async fn pull(
        &self,
        session: &Session,
        durable: &PullConsumer,
        room: usize,
    ) -> Result<Option<Batch>, String> {
        if self.connection.session().await?.epoch != session.epoch {
            return Ok(None);
        }
        let batch = durable.batch().max_messages(room).expires(PULL).messages().await;
        batch.map(Some).map_err(|error| chain(&error))
    }

    async fn begin(&self) -> Result<(Session, PullConsumer), String> {
        let session = self.connection.session().await?;
        let durable = session.context.create_consumer_on_stream(self.config(), stream::NAME).await;
        Ok((session, durable.map_err(|error| chain(&error))?))
    }

    /// No limit of deliveries: the server would drop the event behind it, though the dead
    /// letter could not be written. Who gives up, and when, is the consumer's business.
    fn config(&self) -> Config {
        Config {
            durable_name: Some(subject::durable(self.consumer, self.kind)),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.connection.options().ack_wait,
            max_deliver: -1,
            filter_subject: subject::filter(self.kind),
            max_ack_pending: MAX_ACK_PENDING,
            ..Config::default()
        }
    }

    /// Takes what comes of a pull in hand; says whether to pull again.
    async fn take<'b>(
        &'b self,
        mut batch: Batch,
        session: &Session,
        hands: &mut Hands<'b>,
    ) -> Result<bool, String> {
        let mut requested = pin!(self.shutdown.requested());
        loop {
            tokio::select! {
                message = batch.next() => match message {
                    Some(Ok(message)) => hands.push(self.handle(message).boxed()),
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Ok(true),
                },
                Some(()) = hands.next() => {}
                () = &mut requested => {
                    give_back(batch).await;
                    return Ok(false);
                }
                () = sleep(LOOK) => if self.connection.epoch() != session.epoch {
                    return Ok(false);
                },
            }
        }
    }

    /// Shows how much waits; never ends.
    async fn watch(&self) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!(error, "the server did not say what waits");
            }
            sleep(WATCH).await;
        }
    }

    async fn look(&self) -> Result<(), String> {
        let context = self.connection.session().await?.context;
        let name = subject::durable(self.consumer, self.kind);
        let durable: PullConsumer = context
            .get_consumer_from_stream(name, stream::NAME)
            .await
            .map_err(|error| chain(&error))?;
        let info = durable.cached_info();
        self.meters.pending.set_count(info.num_pending);
        self.meters.unacknowledged.set_count(info.num_ack_pending);
        Ok(())
    }
}

/// Works on what is in hand; never ends.
async fn work(hands: &mut Hands<'_>) {
    while hands.next().await.is_some() {}
    std::future::pending::<()>().await;
}

/// Says that what has arrived already is for somebody else.
async fn give_back(mut batch: Batch) {
    while let Some(Some(Ok(message))) = batch.next().now_or_never() {
        settle(&message, AckKind::Nak(None)).await;
    }
}

/// An event that the server does not hear of is sent again, and recognised by the inbox.
async fn settle(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(error, "an event was not settled, it will come again");
    }
}
