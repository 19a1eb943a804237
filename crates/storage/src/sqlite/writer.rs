//! The thread that owns the one writing connection, and the queue before it.
//!
//! The thread takes what waits in the queue, up to a bound, into one
//! transaction, so that all of it pays for one wait for the disk (group
//! commit). Nothing waits for company: a lone unit is committed at once.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rusqlite::Connection;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    time::{Duration, Instant},
};

use super::{
    batch::{Batch, Committer},
    meters::Meters,
    unit::{Job, Unit},
};
use crate::{Error, Faults, answer::Outcome, meters::Pool};

/// How many units may wait.
const QUEUE: usize = 4_096;

/// What one transaction takes at most, so that the first caller in it does not
/// wait long for the last.
const BATCH_UNITS: usize = 512;
const BATCH_TIME: Duration = Duration::from_millis(10);

/// The callers' side.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    finished: watch::Receiver<()>,
    is_busy: Arc<AtomicBool>,
}

enum Message {
    Unit(Box<dyn Job>),
    Stop,
}

/// The thread's side. When it ends, fields go in this order: the lock is given
/// free only after the connection is closed.
struct Worker {
    committer: Committer,
    queue: mpsc::Receiver<Message>,
    lock: File,
    finished: watch::Sender<()>,
    is_busy: Arc<AtomicBool>,
    meters: Arc<Meters>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        lock: File,
        faults: Faults,
        meters: Arc<Meters>,
    ) -> Result<Self, Error> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (finished_sender, finished) = watch::channel(());

        // A crashed database gives its file free, as a killed process would.
        let crashed = sender.downgrade();
        faults.watch(move || {
            if let Some(queue) = crashed.upgrade() {
                // It is sent to wake the thread; a full queue has woken it.
                let _ = queue.try_send(Message::Stop);
            }
        });

        let committer = Committer::new(connection, faults, Arc::clone(&meters))?;
        let is_busy = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&is_busy);
        let worker =
            Worker { committer, queue, lock, finished: finished_sender, is_busy: busy, meters };
        thread::Builder::new().name("sqlite-writer".to_owned()).spawn(|| worker.run())?;
        Ok(Self { queue: sender, finished, is_busy })
    }

    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        began: quanta::Instant,
    ) -> Outcome<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (unit, answer) = Unit::new(work, began);
        self.queue.try_send(Message::Unit(Box::new(unit))).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Closed(_) => Error::Closed,
        })?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// The one connection is idle only while nothing waits, and gone with its thread.
    pub(super) fn pool(&self) -> Pool {
        let is_open = self.finished.has_changed().is_ok();
        let is_used = is_open && self.is_busy.load(Ordering::Relaxed);
        let pending = self.queue.max_capacity().saturating_sub(self.queue.capacity());
        Pool { used: is_used.into(), idle: (is_open && !is_used).into(), pending }
    }

    /// Takes no more units, does those that wait, and returns when the
    /// connection is closed and the lock is free.
    pub(super) async fn close(&self) {
        // An error says that the thread has ended already.
        let _ = self.queue.send(Message::Stop).await;
        // Nothing is ever sent: the thread's end drops the sender.
        let _ = self.finished.clone().changed().await;
    }
}

impl Worker {
    fn run(mut self) {
        while let Some(message) = self.queue.blocking_recv() {
            if let Some(first) = self.admit(message) {
                self.is_busy.store(true, Ordering::Relaxed);
                self.batch(first);
                self.committer.tidy();
                self.is_busy.store(false, Ordering::Relaxed);
            }
            if self.committer.is_crashed() {
                self.queue.close();
            }
        }
        let Self { committer, lock, finished, .. } = self;
        committer.close();
        drop(lock);
        drop(finished);
    }

    /// Commits `first` together with what waits behind it, then answers all.
    fn batch(&mut self, first: Box<dyn Job>) {
        let end = Instant::now() + BATCH_TIME;
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            self.meters.waited_for_writer(job.began());
            batch.run(&mut self.committer, job);
            if batch.is_open() && batch.len() < BATCH_UNITS && Instant::now() < end {
                next = self.waiting();
            }
        }
        batch.commit(&mut self.committer);
    }

    fn waiting(&mut self) -> Option<Box<dyn Job>> {
        while let Ok(message) = self.queue.try_recv() {
            if let Some(job) = self.admit(message) {
                return Some(job);
            }
        }
        None
    }

    fn admit(&mut self, message: Message) -> Option<Box<dyn Job>> {
        match message {
            Message::Unit(job) => (!job.is_abandoned()).then_some(job),
            Message::Stop => {
                self.queue.close();
                None
            }
        }
    }
}
