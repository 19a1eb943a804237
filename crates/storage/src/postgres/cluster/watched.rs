//! What units of work share that may go to several servers.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, watch},
    time::{Instant, timeout},
};
use trellis_consistency::{Position, Tokens, context};
use trellis_telemetry::Metrics;

use crate::{
    Error,
    postgres::{
        board::{Answer, Board, Change, Silence},
        meters::ClusterMeters,
    },
};

/// How long a read waits for a turn among those that go to the primary for want of a
/// replica.
const FALLBACK: Duration = Duration::from_millis(100);
/// Of so many connections to the primary, one may be used by such reads.
const FALLBACK_SHARE: u32 = 5;

/// What all units of work of a handle share that has several servers.
#[derive(Debug)]
pub(in crate::postgres) struct Watched {
    /// Under which the database has its consistency token.
    key: Box<str>,
    board: Mutex<Board>,
    /// Counts the changes of the board.
    changes: watch::Sender<u64>,
    /// Has a server asked sooner.
    hurry: Vec<Notify>,
    /// How many reads wait for a replica to catch up.
    waiting: AtomicUsize,
    fallback: Semaphore,
    pub(in crate::postgres) meters: ClusterMeters,
}

/// The right of a read to use the primary for want of a replica.
pub(in crate::postgres) type Permit<'w> = SemaphorePermit<'w>;

/// Somebody waits for a replica, which is asked more often as long as this is kept.
pub(super) struct Waiting<'w>(&'w AtomicUsize);

impl Watched {
    /// For servers at `places`, to each of which there may be so many connections.
    pub(super) fn new(
        metrics: &Metrics,
        name: &str,
        shard: u32,
        places: &[String],
        connections: u32,
    ) -> Self {
        Self {
            key: Tokens::key(name, shard),
            board: Mutex::new(Board::new(places.len())),
            changes: watch::Sender::new(0),
            hurry: places.iter().map(|_| Notify::new()).collect(),
            waiting: AtomicUsize::new(0),
            fallback: Semaphore::new(connections.div_ceil(FALLBACK_SHARE) as usize),
            meters: ClusterMeters::new(metrics, name, places),
        }
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the board has what is looked for.
    pub(super) async fn find<T>(&self, mut look: impl FnMut(&mut Board) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = look(&mut self.board()) {
                return found;
            }
            // The sender is in here.
            let _ = changes.changed().await;
        }
    }

    /// Reads to which no replica can answer share a part of the primary's connections,
    /// so that they do not take writes down with them.
    pub(in crate::postgres) async fn fall_back(&self) -> Result<Permit<'_>, Error> {
        if let Ok(Ok(permit)) = timeout(FALLBACK, self.fallback.acquire()).await {
            return Ok(permit);
        }
        self.meters.refused();
        Err(Error::Overloaded)
    }

    pub(super) fn wait(&self, needed: Position) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.board().want(needed);
        self.hurry();
        Waiting(&self.waiting)
    }

    /// What reads of this caller need. Outside of a call, that is what this process wrote.
    pub(in crate::postgres) fn needed(&self) -> Position {
        if context::is_call() {
            context::needed(&self.key).unwrap_or_default()
        } else {
            self.board().written()
        }
    }

    /// From now on nobody reads less than `position`.
    pub(in crate::postgres) fn raise_floor(&self, position: Position) {
        let is_outstanding = self.board().raise_floor(position);
        if is_outstanding {
            self.hurry();
        }
    }

    /// The caller has seen what the primary has: what comes after must see what this
    /// process has written until now.
    pub(in crate::postgres) fn saw_primary(&self) {
        context::note(&self.key, self.board().written());
    }

    /// Takes in what `server` answered.
    pub(in crate::postgres) fn hear(
        &self,
        server: usize,
        place: &str,
        answer: Result<Answer, Silence>,
    ) {
        let mut board = self.board();
        let change = board.hear(server, answer, Instant::now());
        self.meters.heard(server, board.lag(server), !board.is_out(server));
        self.meters.primary(board.primary().is_some());
        drop(board);
        if let Some(change) = change {
            self.meters.changed(place, change);
            tell(place, change);
        }
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn hurry(&self) {
        for server in &self.hurry {
            server.notify_one();
        }
    }

    /// Returns when `server` is to be asked sooner than it would be.
    pub(in crate::postgres) async fn hurried(&self, server: usize) {
        self.hurry[server].notified().await;
    }

    /// How long after the last question `server` is asked again.
    pub(in crate::postgres) fn pause(&self, server: usize) -> Duration {
        let board = self.board();
        if !board.is_outstanding(server) {
            let is_urgent = board.primary().is_none() || board.is_in_question(server);
            return Duration::from_millis(if is_urgent { 25 } else { 250 });
        }
        let is_waited_for = 0 < self.waiting.load(Ordering::Relaxed);
        Duration::from_millis(if is_waited_for { 2 } else { 25 })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn tell(server: &str, change: Change) {
    match change {
        Change::Ejected(cause) => {
            tracing::warn!(server, ?cause, "a replica of the database is not read from");
        }
        Change::Reinstated => tracing::info!(server, "a replica of the database is read from"),
        Change::FailedOver => tracing::warn!(server, "another server is the primary database"),
    }
}
