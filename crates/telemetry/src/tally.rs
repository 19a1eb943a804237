//! What becomes of the spans and log records that were made.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How often the log speaks of lost ones at most.
const SELDOM: Duration = Duration::from_mins(1);

/// Counts items of one sort. The counts stand for themselves, so no order is needed
/// between them.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What is counted, such as `spans`.
    items: &'static str,
    queue: usize,
    waiting: AtomicUsize,
    ended: AtomicU64,
    exported: AtomicU64,
    /// Not exported, and why is known.
    dropped: AtomicU64,
    refused: AtomicU64,
    said: Mutex<Said>,
}

/// What the log knows.
#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    lost: u64,
}

impl Tally {
    /// No more than `queue` of these items may wait.
    pub(crate) fn new(items: &'static str, queue: usize) -> Self {
        Self {
            items,
            queue,
            waiting: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    /// There is one more; `false`: there is no room for it.
    pub(crate) fn admit(&self) -> bool {
        self.ended.fetch_add(1, Relaxed);
        let more = |waiting| (waiting < self.queue).then_some(waiting + 1);
        let admitted = self.waiting.fetch_update(Relaxed, Relaxed, more).is_ok();
        if !admitted {
            self.dropped.fetch_add(1, Relaxed);
        }
        admitted
    }

    /// So many `items` have left the queue.
    pub(crate) fn took(&self, items: usize) {
        self.waiting.fetch_sub(items, Relaxed);
    }

    /// The collector has so many `items`, or has not because of `error`.
    pub(crate) fn sent(&self, items: u64, error: Option<&(dyn Error + 'static)>) {
        let count = if error.is_none() { &self.exported } else { &self.refused };
        count.fetch_add(items, Relaxed);
        self.say(error);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.dropped.load(Relaxed) + self.refused.load(Relaxed)
    }

    /// Nothing will be exported any more.
    pub(crate) fn close(&self) {
        let (ended, exported) = (self.ended.load(Relaxed), self.exported.load(Relaxed));
        let lost = ended.saturating_sub(exported);
        if lost > 0 {
            let items = self.items;
            tracing::warn!(lost, exported, "{items} were not exported by the end of the process");
        }
    }

    fn say(&self, error: Option<&(dyn Error + 'static)>) {
        let lost = self.lost();
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lost == said.lost || said.at.is_some_and(|at| at.elapsed() < SELDOM) {
            return;
        }
        let since = lost - said.lost;
        *said = Said { at: Some(Instant::now()), lost };
        drop(said);
        let dropped = self.dropped.load(Relaxed);
        tracing::warn!(lost = since, dropped, error, "{} are lost", self.items);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{Format, Settings};

    /// Lines that `body` logs.
    fn lines(body: impl FnOnce()) -> usize {
        let (reader, writer) = io::pipe().unwrap();
        let writer = std::sync::Mutex::new(writer);
        let (dispatch, _telemetry) =
            crate::build("test", &Settings::default(), Format::Json, writer).unwrap();
        tracing::dispatcher::with_default(&dispatch, body);
        drop(dispatch);
        io::BufRead::lines(io::BufReader::new(reader)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_fails_for_long_is_spoken_of_once_a_minute() {
        let tally = Tally::new("spans", 10);
        let refused = io::Error::other("refused");

        let at_once = lines(|| (0..100).for_each(|_| tally.sent(5, Some(&refused))));
        tokio::time::advance(SELDOM).await;
        let later = lines(|| (0..100).for_each(|_| tally.sent(5, Some(&refused))));
        tokio::time::advance(SELDOM).await;
        let well_again = lines(|| (0..100).for_each(|_| tally.sent(5, None)));
        tokio::time::advance(SELDOM).await;
        let well = lines(|| (0..100).for_each(|_| tally.sent(5, None)));

        assert_eq!((at_once, later, well_again, well), (1, 1, 1, 0));
        assert_eq!(tally.lost(), 1_000);
    }

    #[test]
    fn what_leaves_the_queue_makes_room() {
        let tally = Tally::new("spans", 2);

        assert_eq!([tally.admit(), tally.admit(), tally.admit()], [true, true, false]);
        tally.took(1);

        assert_eq!([tally.admit(), tally.admit()], [true, false]);
        assert_eq!(tally.lost(), 2);
    }
}
