//! Sends again what a bus has taken and lost.
//!
//! A stream is lost as a whole, or from its end: a server writes to its disk in order, and
//! forgets what it had not written. So the highest of the places that the outbox knows tells
//! whether anything is lost. Whenever the connection is another, no event is published
//! before the two were compared: what is published may get a place that was given before.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use trellis_storage::Error;
use trellis_telemetry::Metrics;
use trellis_telemetry::metrics::{Counter, Definition, Unit};

use crate::bus::{Archive, Bus, Outcome, Receipt, Stream};
use crate::outbox::{Lost, Outbox};

const RESENT: Definition<Counter, 1> = Counter::define(
    "trellis.events.resent",
    Unit::of("{event}"),
    "Events that the bus had taken and lost, and that became due again.",
    ["outbox"],
);

/// How often a stream is compared though nothing seems to have happened to it.
const INTERVAL: Duration = Duration::from_mins(1);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many rows one write makes due; others need the database too.
pub(super) const LIMIT: u32 = 1_000;

/// What a relay knows of how its outbox and the bus agree.
#[derive(Debug)]
pub(super) struct Healer {
    outbox: &'static str,
    /// The epoch in which they were compared, and agreed in the end.
    agreed: Option<u64>,
    /// The epoch of the last try.
    tried: Option<u64>,
    /// Another relay had the lease, and so it was to compare.
    left: bool,
    next: Option<OffsetDateTime>,
    resent: Counter,
}

impl Healer {
    pub(super) fn new(name: &'static str, metrics: &Metrics) -> Self {
        let resent = metrics.get(&RESENT, [name]);
        Self { outbox: name, agreed: None, tried: None, left: false, next: None, resent }
    }

    /// Whether to compare now.
    pub(super) fn is_due(&self, epoch: u64, holds_lease: bool, now: OffsetDateTime) -> bool {
        self.tried != Some(epoch)
            || self.next.is_none_or(|next| next <= now)
            || (self.left && holds_lease)
    }

    /// Leaves it to the relay that has the lease.
    pub(super) fn leave(&mut self, epoch: u64, now: OffsetDateTime) {
        self.agreed = None;
        self.tried = Some(epoch);
        self.left = true;
        self.next = Some(now + INTERVAL);
    }

    /// Makes due what the bus has lost. Where it cannot be asked, nothing is published
    /// until it can.
    pub(super) async fn compare(
        &mut self,
        outbox: &dyn Outbox,
        archive: &dyn Archive,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        self.agreed = None;
        self.tried = Some(archive.epoch());
        self.left = false;
        self.next = Some(now + PAUSE);
        let stream = match archive.stream().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(
                    outbox = self.outbox,
                    error,
                    "the bus cannot be asked what it keeps"
                );
                return Ok(());
            }
        };
        let elsewhere = Lost::Elsewhere(Arc::clone(&stream.name));
        let mut resent = unpublish(outbox, &elsewhere, now).await?;
        match top(outbox, archive, &stream).await? {
            Ok(None) => {}
            Ok(Some(sequence)) => {
                let top = Receipt { stream: Arc::clone(&stream.name), sequence };
                resent += unpublish(outbox, &Lost::Above(top), now).await?;
            }
            Err(error) => {
                tracing::debug!(outbox = self.outbox, error, "the bus did not say what it keeps");
                return Ok(());
            }
        }
        if 0 < resent {
            tracing::warn!(
                outbox = self.outbox,
                resent,
                "the bus lost events, they are sent again"
            );
            self.resent.add(resent);
        }
        self.agreed = Some(stream.epoch);
        self.tried = self.agreed;
        self.next = Some(now + INTERVAL);
        Ok(())
    }

    /// Whether the bus is the one that the outbox was compared with.
    pub(super) fn agrees(&self, bus: &dyn Bus) -> bool {
        bus.archive().is_none_or(|archive| self.agreed == Some(archive.epoch()))
    }

    /// What was taken by a bus that may have forgotten it since is handed over once more,
    /// under the same name.
    pub(super) fn checked(&self, outcomes: Vec<Outcome>, bus: &dyn Bus) -> Vec<Outcome> {
        if self.agrees(bus) {
            return outcomes;
        }
        let doubted = |outcome| match outcome {
            Outcome::Delivered(_) => Outcome::Unreachable("the connection changed".to_owned()),
            other => other,
        };
        outcomes.into_iter().map(doubted).collect()
    }
}

/// The outcomes of a batch that is not published before outbox and bus agree.
pub(super) fn not_compared(count: usize) -> Vec<Outcome> {
    vec![Outcome::Unreachable("not compared with the bus".to_owned()); count]
}

/// The highest place whose event is still there, if that is not the highest of all; 0 where
/// none is. What is too old to be kept counts as there.
///
/// Steps of double length look at few rows, and find a place at most twice as far from the
/// top as they must.
async fn top(
    outbox: &dyn Outbox,
    archive: &dyn Archive,
    stream: &Stream,
) -> Result<Result<Option<u64>, String>, Error> {
    let mut skip = 0_u32;
    loop {
        let Some(kept) = outbox.kept(&stream.name, skip).await? else {
            return Ok(Ok((0 < skip).then_some(0)));
        };
        let is_there = if kept.sequence < stream.first {
            true
        } else {
            match archive.holds(kept.sequence, &kept.event_id).await {
                Ok(is_there) => is_there,
                Err(error) => return Ok(Err(error)),
            }
        };
        if is_there {
            return Ok(Ok((0 < skip).then_some(kept.sequence)));
        }
        skip = skip.saturating_mul(2).saturating_add(1);
    }
}

async fn unpublish(outbox: &dyn Outbox, lost: &Lost, now: OffsetDateTime) -> Result<u64, Error> {
    let mut total = 0;
    loop {
        let count = outbox.unpublish(lost.clone(), LIMIT, now).await?;
        if count == 0 {
            return Ok(total);
        }
        total += u64::try_from(count).unwrap_or(u64::MAX);
    }
}
