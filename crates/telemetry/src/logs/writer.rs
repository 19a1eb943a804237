//! The thread that writes the log.
//!
//! Nobody who logs waits for a terminal, a pipe or a disk: only this thread does.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::dispatcher::WeakDispatch;

use super::batch::Batch;
use super::queue::{Entrance, Queue};
use super::{Format, Itself};

/// How long lines gather after others were written, where nobody watches. A thread that
/// wakes a thousand times a second costs a busy machine more than all it writes.
const REST: Duration = Duration::from_millis(10);

/// How long a sink that takes nothing at the moment, but says so instead of blocking,
/// is left alone.
const AGAIN: Duration = Duration::from_millis(10);

/// What waits in the queue of a process; written for a limited time when it is dropped.
#[derive(Debug)]
pub(crate) struct Lines {
    /// `None` once it was stopped, or if every line is written by whoever logs it.
    queue: Option<Arc<Queue>>,
    limit: Duration,
}

impl Lines {
    /// Begins to write to `sink`, which must not keep back what it was given. Dropping
    /// the lines waits for `limit` at most.
    pub(crate) fn start<W>(
        format: Format,
        sink: W,
        itself: Itself,
        limit: Duration,
    ) -> io::Result<(Entrance, Self)>
    where
        W: io::Write + Send + 'static,
    {
        let queue = Arc::new(Queue::default());
        let entrance = Entrance(queue.clone());
        let lines = Self { queue: Some(queue.clone()), limit };
        let rest = if format == Format::Terminal { Duration::ZERO } else { REST };
        let sink = Sink { inner: sink, is_torn: false };
        let writer = move || write(&queue, rest, sink, &itself);
        thread::Builder::new().name("log".to_owned()).spawn(writer)?;
        Ok((entrance, lines))
    }

    /// Where there is no queue.
    pub(crate) fn none() -> Self {
        Self { queue: None, limit: Duration::ZERO }
    }

    /// How many lines were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.lost())
    }

    /// Says how many are lost whenever it is asked.
    pub(crate) fn losses(&self) -> impl Fn() -> u64 + Send + 'static {
        let queue = self.queue.clone();
        move || queue.as_ref().map_or(0, |queue| queue.lost())
    }

    /// Waits until what was logged so far is written, for `limit` at most. What is
    /// logged later is written, too, while the process lives.
    pub(crate) async fn stop(mut self, limit: Duration) {
        let Some(queue) = self.queue.take() else { return };
        // It panics never, and ends in time.
        let _ = tokio::task::spawn_blocking(move || queue.flush(limit)).await;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.flush(self.limit);
        }
    }
}

fn write(queue: &Queue, rest: Duration, mut sink: Sink<impl io::Write>, itself: &Itself) {
    queue.settle_in();
    let mut batch = Batch::default();
    while queue.take(&mut batch, rest) {
        let written = sink.write(&batch);
        let lost = batch.lines() - written;
        batch.clear();
        // A line about lines that could not be written would be the next of them.
        if lost == 0 {
            tell(queue.untold(), itself);
        }
        queue.settle(written, lost);
    }
}

fn tell(lost: u64, itself: &Itself) {
    let subscriber = itself.get().and_then(WeakDispatch::upgrade);
    if let (1.., Some(subscriber)) = (lost, subscriber) {
        tracing::dispatcher::with_default(&subscriber, || {
            tracing::warn!(lost, "log lines were lost");
        });
    }
}

struct Sink<W> {
    inner: W,
    /// Whether only a part of the last line is out.
    is_torn: bool,
}

impl<W: io::Write> Sink<W> {
    /// Returns how many lines are out.
    fn write(&mut self, batch: &Batch) -> usize {
        if self.is_torn {
            if self.write_all(b"\n") == 0 {
                return 0;
            }
            self.is_torn = false;
        }
        let written = self.write_all(batch.bytes());
        self.is_torn = batch.is_torn_at(written);
        batch.lines_within(written)
    }

    /// Returns how many bytes are out: not all of them, if there was an error.
    fn write_all(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.inner.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(_) => break,
            }
        }
        written
    }
}
