//! Runs sagas in tasks of their own, so that none ends with the call that began it.

mod in_flight;
mod run;
mod trace;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, interval_at};
use tracing::Instrument as _;
use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;
use trellis_storage::idempotency::Fingerprint;
use trellis_telemetry::Scope;
use trellis_telemetry::propagation::Remote;
use uuid::Uuid;

use crate::meters::Meters;
use crate::progress::Progress;
use crate::saga::{Hold, Lease, Peers, Saga, policy};
use crate::settings::Settings;
use crate::store::{Cancel, Cancelling, Known, Store};

use self::in_flight::{InFlight, Signals};
use self::run::{Halt, Run};

/// How many sagas that were taken over may be at work at once. They have a bound
/// of their own, so that neither they nor new checkouts can starve the other.
const MOST_RECOVERIES: usize = 256;

const SAGA: &str = "order.saga";

/// Where sagas are run. All clones are one.
#[derive(Clone)]
pub(crate) struct Runner(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    peers: Peers,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    progress: Progress,
    meters: Meters,
    in_flight: InFlight,
    /// Names this process in leases.
    owner: Uuid,
    begun: Arc<Semaphore>,
    recovered: Arc<Semaphore>,
}

/// Room for one more saga.
pub(crate) type Permit = OwnedSemaphorePermit;

impl Runner {
    pub(crate) fn new(
        settings: &Settings,
        store: &Arc<dyn Store>,
        peers: &Peers,
        clock: &Arc<dyn Clock>,
        meters: &Meters,
        shutdown: &Shutdown,
    ) -> Self {
        Self(Arc::new(Shared {
            store: Arc::clone(store),
            peers: peers.clone(),
            clock: Arc::clone(clock),
            shutdown: shutdown.clone(),
            progress: Progress::default(),
            meters: meters.clone(),
            in_flight: InFlight::default(),
            owner: Uuid::new_v4(),
            begun: Arc::new(Semaphore::new(settings.max_sagas_in_flight)),
            recovered: Arc::new(Semaphore::new(MOST_RECOVERIES)),
        }))
    }

    /// Where to hear how orders go on.
    pub(crate) fn progress(&self) -> &Progress {
        &self.0.progress
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Room for a new saga, if there is any and there is time to run it.
    pub(crate) fn admit(&self) -> Result<Permit, crate::Error> {
        if self.0.shutdown.is_requested() {
            return Err(crate::Error::Stopping);
        }
        Arc::clone(&self.0.begun).try_acquire_owned().map_err(|_| crate::Error::Overloaded)
    }

    /// Begins a checkout, unless its request is known, and runs it. A caller who
    /// does not wait for the answer stops nothing.
    pub(crate) async fn begin(
        &self,
        saga: Saga,
        fingerprint: Fingerprint,
        permit: Permit,
    ) -> Result<Option<Known>, Error> {
        let (tell, told) = oneshot::channel();
        let (shared, call) = (Arc::clone(&self.0), Scope::current());
        self.0.shutdown.spawn(SAGA, async move {
            let work = shared.store.begin(saga.clone(), fingerprint, shared.lease());
            let begun = call.around(work).await;
            let is_new = matches!(begun, Ok(None));
            // Nobody listens any more when the caller has gone.
            drop(tell.send(begun));
            if is_new {
                shared.meters.order_accepted();
                shared.run(saga).await;
            }
            drop(permit);
            Ok(())
        });
        told.await.unwrap_or(Err(Error::Closed))
    }

    /// Writes down a wish to cancel, and runs the refund that may come of it.
    pub(crate) async fn cancel(&self, mut cancel: Cancel) -> Result<Cancelling, Error> {
        let (tell, told) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        let permit = self.admit().ok();
        let (trace, call) = (Remote::current(), Scope::current());
        cancel.lease = permit.is_some().then(|| shared.lease());
        self.0.shutdown.spawn(SAGA, async move {
            let mut cancelling = call.around(shared.store.request_cancel(cancel)).await;
            let mut refund = None;
            if let Ok(Cancelling::Noted { refund: begun, .. }) = &mut cancelling {
                shared.in_flight.request_cancel(cancel.order_id);
                refund = begun.take();
            }
            drop(tell.send(cancelling));
            if let Some(refund) = refund {
                shared.run(Saga { trace, ..*refund }).await;
            }
            drop(permit);
            Ok(())
        });
        told.await.unwrap_or(Err(Error::Closed))
    }

    /// Looks how much there is still to do, for those who watch.
    pub(crate) async fn count_backlog(&self) -> Result<(), Error> {
        let backlog = self.0.store.backlog().await?;
        self.0.meters.backlog(backlog);
        Ok(())
    }

    /// Takes over up to `limit` sagas that are due, and says how many it took.
    pub(crate) async fn take_over(&self, limit: usize) -> Result<usize, Error> {
        let shared = &self.0;
        let room = || Arc::clone(&shared.recovered).try_acquire_owned().ok();
        let permits: Vec<Permit> = std::iter::from_fn(room).take(limit).collect();
        if permits.is_empty() {
            return Ok(0);
        }
        let room = u32::try_from(permits.len()).unwrap_or(u32::MAX);
        let now = shared.clock.now();
        let sagas = shared.store.claim_due(shared.lease(), now, room).await?;
        let taken = sagas.len();
        shared.meters.sagas_recovered(taken);
        for (saga, permit) in sagas.into_iter().zip(permits) {
            let shared = Arc::clone(shared);
            self.0.shutdown.spawn(SAGA, async move {
                shared.run(saga).await;
                drop(permit);
                Ok(())
            });
        }
        Ok(taken)
    }
}

impl Shared {
    fn lease(&self) -> Lease {
        Lease { owner: self.owner, until: self.clock.now() + policy::LEASE }
    }

    /// Runs a saga until it ends or has to be put off, and then what follows from it.
    async fn run(&self, saga: Saga) {
        let mut next = Some(saga);
        while let Some(saga) = next {
            next = self.run_one(saga).await;
        }
    }

    async fn run_one(&self, saga: Saga) -> Option<Saga> {
        let span = trace::run(&saga);
        self.run_in_its_span(saga).instrument(span).await
    }

    async fn run_in_its_span(&self, saga: Saga) -> Option<Saga> {
        let hold = saga.hold();
        let entry = self.in_flight.enter(hold.order_id, saga.cancel_requested);
        let signals = entry.signals();
        let mut run = Run::new(self, saga, Arc::clone(&signals));
        let outcome = self.keep_lease(hold, &signals, run.drive()).await;
        match outcome {
            Ok(follower) => follower.map(|saga| *saga),
            Err(Halt::Lost) => {
                let (order_id, kind) = (hold.order_id, hold.kind.as_str());
                tracing::info!(%order_id, kind, "somebody else has taken the saga over");
                None
            }
            Err(halt) => {
                run.put_off(halt).await;
                None
            }
        }
    }

    /// Renews the lease for as long as `work` takes; nearly always that is not once.
    ///
    /// The work goes on meanwhile: it may be what has locked the saga's row.
    async fn keep_lease<T>(
        &self,
        hold: Hold,
        signals: &Signals,
        work: impl Future<Output = Result<T, Halt>>,
    ) -> Result<T, Halt> {
        tokio::select! {
            biased;
            outcome = work => outcome,
            never = self.beat(hold, signals) => match never {},
        }
    }

    async fn beat(&self, hold: Hold, signals: &Signals) -> Infallible {
        let mut beat = interval_at(Instant::now() + policy::HEARTBEAT, policy::HEARTBEAT);
        loop {
            beat.tick().await;
            match self.store.renew(hold, self.lease().until).await {
                Ok(Some(true)) => signals.request_cancel(),
                Ok(Some(false)) => {}
                // The work stops by itself: perhaps it has just ended the saga.
                Ok(None) => signals.lose(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(order_id = %hold.order_id, error, "lease not renewed");
                }
            }
        }
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}
