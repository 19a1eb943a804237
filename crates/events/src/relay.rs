//! Delivers what is due in an outbox, until everyone who wants it has it.
//!
//! One relay delivers at a time, by a lease whose fence is checked when the
//! outcome is written. An event is published again when a relay stops between
//! the two, so consumers keep an inbox.

mod backlog;
mod heal;
mod meters;
mod pace;
mod publish;
mod rebuild;
mod report;

use std::sync::Arc;
use std::time::Duration;
use std::{iter, mem};

use time::OffsetDateTime;
use tokio::time::sleep;
use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;
use trellis_telemetry::Metrics;
use uuid::Uuid;

use crate::Backoff;
use crate::bus::{Bus, Outcome};
use crate::outbox::{Claim, Due, Outbox, Settlement, Verdict};

use heal::Healer;
use meters::Meters;
use pace::Pace;
use report::report;

pub use backlog::BacklogGauge;
pub use rebuild::Rebuild;

/// The most rows that are delivered at once.
pub const BATCH: u32 = 256;
/// The most rows that a step reads, and then delivers batch by batch.
pub const PAGE: u32 = 4 * BATCH;
/// The waits after a consumer failed to apply an event.
pub const AFTER_REFUSAL: Backoff =
    Backoff { first: Duration::from_millis(500), cap: Duration::from_mins(2) };
/// The waits while a consumer is away; short, so that its return is noticed.
pub const WHILE_AWAY: Backoff =
    Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
/// How long a lease lasts without renewal, and so how long events may wait
/// after their relay was killed.
pub const LEASE: Duration = Duration::from_secs(5);
/// How long published rows are kept.
pub const RETENTION: Duration = Duration::from_hours(7 * 24);

/// How often the outbox is looked at when nobody wakes the relay.
const POLL: Duration = Duration::from_millis(200);
/// How often a relay without the lease asks for it.
const STANDBY: Duration = Duration::from_secs(1);
/// The waits after the outbox itself failed.
const AFTER_STORAGE: Backoff =
    Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(10) };
/// How long a batch in flight may hold up a stop; the rest is delivered next time.
const GRACE: Duration = Duration::from_secs(6);
/// How often published rows are purged, and how many at once.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
const PURGE_LIMIT: u32 = 1_000;

/// The name of the outbox of a shard: that of the service, and for all but the first one
/// its number, as in `user/1`. It is kept as long as the process.
pub fn name(service: &'static str, shard: usize) -> &'static str {
    if shard == 0 { service } else { format!("{service}/{shard}").leak() }
}

/// Delivers until a stop is requested. A failing outbox or bus is waited for.
///
/// `name` is the service whose outbox it is. What waits is shown in `metrics` all the
/// time, also while another relay delivers or the bus is away.
pub async fn run(
    name: &'static str,
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let backlog = BacklogGauge::new(name, Arc::clone(&outbox), Arc::clone(&clock), &metrics);
    let relay = Relay::new(name, outbox, Arc::clone(&bus), clock, &metrics);
    tokio::select! {
        () = drive(relay, bus, shutdown) => Ok(()),
        never = backlog.run() => match never {},
    }
}

async fn drive(mut relay: Relay, bus: Arc<dyn Bus>, shutdown: Shutdown) {
    tokio::select! {
        () = bus.ready() => {}
        () = shutdown.requested() => return,
    }

    let outbox = Arc::clone(&relay.outbox);
    let mut failures = 0;
    while !shutdown.is_requested() {
        let progress = tokio::select! {
            progress = relay.step() => progress,
            () = overdue(&shutdown) => break,
        };
        report(&mut failures, progress.as_ref().err());
        let (wait, listens) = match progress {
            Ok(Progress::Settled(count)) if BATCH <= count => continue,
            Ok(Progress::Idle | Progress::Settled(_)) => (POLL, true),
            Ok(Progress::Standby) => (STANDBY, false),
            Err(_) => (AFTER_STORAGE.delay(failures), false),
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = outbox.woken(), if listens => {}
            () = shutdown.requested() => {}
        }
    }
    relay.stop().await;
}

/// A relay that is moved step by step; [`run`] moves it as long as it should.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    owner: Uuid,
    claim: Option<(Claim, OffsetDateTime)>,
    pace: Pace,
    meters: Meters,
    healer: Healer,
    next_purge: Option<OffsetDateTime>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was due.
    Idle,
    /// So many rows were handed to the bus; there may be more.
    Settled(u32),
    /// Something is due, but another relay delivers.
    Standby,
}

impl Relay {
    /// A relay of its own; the lease decides among several of one outbox, which is that
    /// of the service `name`.
    pub fn new(
        name: &'static str,
        outbox: Arc<dyn Outbox>,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            outbox,
            bus,
            clock,
            owner: Uuid::new_v4(),
            claim: None,
            pace: Pace::default(),
            meters: Meters::new(name, metrics),
            healer: Healer::new(name, metrics),
            next_purge: None,
        }
    }

    /// Delivers a page of what is due, and tidies up now and then.
    ///
    /// May be dropped at any point: what was not written down is delivered again.
    pub async fn step(&mut self) -> Result<Progress, Error> {
        let progress = self.deliver().await?;
        // Not only when idle: a busy relay has the most to purge.
        if progress != Progress::Standby {
            self.purge().await?;
        }
        Ok(progress)
    }

    /// Gives the lease back, so that the next relay need not wait for it to run out.
    pub async fn stop(self) {
        if self.claim.is_some()
            && let Err(error) = self.outbox.release(self.owner).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "lease was not released");
        }
    }

    async fn deliver(&mut self) -> Result<Progress, Error> {
        self.compare().await?;
        let mut due = self.outbox.due(self.clock.now(), PAGE).await?;
        if !due.is_empty() && !self.holds_lease() {
            if !self.renew().await? {
                return Ok(Progress::Standby);
            }
            // As long as it was another's, that one compared.
            self.compare().await?;
            // The relay before may have delivered these in the meantime.
            due = self.outbox.due(self.clock.now(), PAGE).await?;
        }
        if due.is_empty() {
            return Ok(Progress::Idle);
        }

        self.hand_over(&due).await
    }

    /// While the bus takes a batch, the database notes what became of the one before.
    async fn hand_over(&mut self, due: &[Due]) -> Result<Progress, Error> {
        let (mut settled, mut settlements) = (0, Vec::new());
        for batch in due.chunks(BATCH as usize) {
            // Who let it lapse reads again: another relay may have delivered these since.
            if settled != 0 && !self.holds_lease() {
                break;
            }
            let before = self.settle(mem::take(&mut settlements));
            let (outcomes, kept) = futures::join!(self.publish(batch), before);
            if !self.keep_lease(kept?) {
                return Ok(Progress::Standby);
            }
            settlements = self.judge(batch, outcomes);
            settled += u32::try_from(batch.len()).expect("a batch is small");
        }
        let kept = self.settle(settlements).await?;
        Ok(if self.keep_lease(kept) { Progress::Settled(settled) } else { Progress::Standby })
    }

    /// Leaves time to deliver a batch before the lease would run out.
    fn holds_lease(&self) -> bool {
        self.claim.is_some_and(|(_, until)| self.clock.now() + LEASE / 2 < until)
    }

    async fn renew(&mut self) -> Result<bool, Error> {
        let now = self.clock.now();
        let claim = self.outbox.claim(self.owner, LEASE, now).await?;
        self.claim = claim.map(|claim| (claim, now + LEASE));
        Ok(self.claim.is_some())
    }

    fn judge(&mut self, due: &[Due], outcomes: Vec<Outcome>) -> Vec<Settlement> {
        let now = self.clock.now();
        let missing = || Outcome::Unreachable("the bus gave no outcome".to_owned());
        let outcomes = outcomes.into_iter().chain(iter::repeat_with(missing));

        let mut batch = self.pace.batch(now);
        let mut settlements = Vec::with_capacity(due.len());
        for (row, outcome) in due.iter().zip(outcomes) {
            self.meters.count(&outcome);
            let event = &row.delivery.event;
            let verdict = match outcome {
                Outcome::Delivered(receipt) => {
                    batch.reached(&event.r#type);
                    Verdict::Published(receipt)
                }
                Outcome::Refused(error) => {
                    batch.reached(&event.r#type);
                    let (event_id, attempt) = (&event.event_id, row.delivery.attempt);
                    tracing::warn!(event_id, attempt, error, "event was refused");
                    let next_attempt_time = now + AFTER_REFUSAL.delay(attempt);
                    Verdict::Refused { next_attempt_time }
                }
                Outcome::Unreachable(_) => {
                    Verdict::Postponed { next_attempt_time: batch.postpone(&event.r#type) }
                }
            };
            settlements.push(Settlement { sequence: row.sequence, verdict });
        }
        settlements
    }

    /// Until when that extends the lease; `None` if it is another's by now.
    fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> impl Future<Output = Result<Option<OffsetDateTime>, Error>> + use<> {
        let (outbox, claim, now) = (Arc::clone(&self.outbox), self.claim, self.clock.now());
        async move {
            match claim {
                None => Ok(None),
                // The first of a page has none before it.
                Some((_, until)) if settlements.is_empty() => Ok(Some(until)),
                Some((claim, _)) => {
                    Ok(outbox.settle(claim, settlements, now).await?.then_some(now + LEASE))
                }
            }
        }
    }

    fn keep_lease(&mut self, kept: Option<OffsetDateTime>) -> bool {
        // What was renewed meanwhile lasts longer.
        self.claim = self.claim.zip(kept).map(|((claim, until), kept)| (claim, until.max(kept)));
        self.claim.is_some()
    }

    /// Purges a bit at a time, so that nobody waits long for the database.
    async fn purge(&mut self) -> Result<(), Error> {
        let now = self.clock.now();
        if self.next_purge.is_some_and(|next| now < next) {
            return Ok(());
        }
        if self.outbox.purge(now - RETENTION, PURGE_LIMIT).await? == 0 {
            self.next_purge = Some(now + PURGE_INTERVAL);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("owner", &self.owner).finish_non_exhaustive()
    }
}

async fn overdue(shutdown: &Shutdown) {
    shutdown.requested().await;
    sleep(GRACE).await;
}
