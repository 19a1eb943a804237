//! Lines on their way out: whoever logs puts them down here and goes on.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use super::batch::{BYTES, Batch};

/// What waits, with a bound. As much again is being written at the same time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The thread that writes has something to do.
    work: Condvar,
    /// More lines are settled.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Lines that found room.
    admitted: u64,
    /// Those of them that are written, or lost because they could not be.
    settled: u64,
    /// Lines that found no room, or could not be written.
    lost: u64,
    /// Those of them that the log knows of.
    told: u64,
    /// The thread that writes; what it logs itself always finds room.
    writer: Option<ThreadId>,
    /// That thread has to be woken when so many bytes wait; `None`: it need not.
    wake_at: Option<usize>,
    /// No line will come any more.
    is_closed: bool,
}

impl Queue {
    /// Never waits: a line that finds no room is lost and counted.
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if !state.waiting.has_room(line) && state.writer != Some(thread::current().id()) {
            state.lost += 1;
            return;
        }
        state.waiting.push(line);
        state.admitted += 1;
        let waiting = state.waiting.bytes().len();
        if state.wake_at.is_some_and(|bytes| bytes <= waiting) {
            self.wake(state);
        }
    }

    /// The thread that calls is the one that writes.
    pub(crate) fn settle_in(&self) {
        self.state().writer = Some(thread::current().id());
    }

    /// Exchanges `batch`, which is empty, for what waits, as soon as something does;
    /// `false`: the end has come.
    ///
    /// For `rest`, lines gather: nobody has to wake the thread, which would cost more
    /// than the line.
    pub(crate) fn take(&self, batch: &mut Batch, rest: Duration) -> bool {
        let mut state = self.state();
        if !rest.is_zero() && !state.is_closed {
            state.wake_at = Some(BYTES / 2);
            let is_resting = |state: &mut State| state.wake_at.is_some();
            let rested = self.work.wait_timeout_while(state, rest, is_resting);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.waiting.lines() == 0 {
            if state.is_closed {
                return false;
            }
            state.wake_at = Some(0);
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wake_at = None;
        mem::swap(&mut state.waiting, batch);
        true
    }

    /// Of a batch, `written` lines are out and `lost` will never be.
    pub(crate) fn settle(&self, written: usize, lost: usize) {
        let mut state = self.state();
        state.settled += (written + lost) as u64;
        state.lost += lost as u64;
        self.progress.notify_all();
    }

    /// How many lines were lost that the log shall be told of: they count as told.
    pub(crate) fn untold(&self) -> u64 {
        let mut state = self.state();
        let lost = state.lost;
        lost - mem::replace(&mut state.told, lost)
    }

    /// How many lines were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Waits until all that has found room so far is settled, and the log knows what
    /// was lost, for `limit` at most.
    pub(crate) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        // Before it settles the last of the lines, the thread logs how many were lost.
        for _lines_and_what_was_lost in 0..2 {
            self.wake(self.state());
            let state = self.state();
            let admitted = state.admitted;
            let is_under_way = |state: &mut State| state.settled < admitted;
            let left = end.saturating_duration_since(Instant::now());
            drop(self.progress.wait_timeout_while(state, left, is_under_way));
        }
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        state.wake_at = None;
        drop(state);
        self.work.notify_one();
    }

    /// Nothing panics while it has the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscriber's end of a queue; when it is dropped, no line will come any more.
#[derive(Debug)]
pub(crate) struct Entrance(pub(crate) Arc<Queue>);

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<'a> MakeWriter<'a> for Entrance {
    type Writer = Put<'a>;

    fn make_writer(&'a self) -> Put<'a> {
        Put(&self.0)
    }
}

/// Takes a whole line at once, as `tracing_subscriber` writes it.
#[derive(Debug)]
pub(crate) struct Put<'a>(&'a Queue);

impl io::Write for Put<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
