//! What an endpoint is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::ConnectionError;

/// What an endpoint does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has asked for it lately; the next call connects.
    Idle,
    /// There is no connection yet.
    Connecting,
    /// There is a connection that takes calls.
    Ready,
    /// It waits before it tries again to connect.
    Backoff,
}

/// The same, with what those who wait need to know.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Idle,
    /// `hopeful`: no attempt has failed since the last good connection.
    Connecting {
        hopeful: bool,
    },
    Ready,
    Backoff(Arc<Pause>),
}

/// The time between two attempts to connect.
#[derive(Debug)]
pub(super) struct Pause {
    /// How many attempts the endpoint has made, by which two pauses are told apart.
    pub(super) attempt: u64,
    pub(super) until: Instant,
    pub(super) cause: Arc<ConnectionError>,
}

/// The phase, for those who wait for the next one, and in short for those who only
/// choose between endpoints and must not take a lock.
#[derive(Debug)]
pub(super) struct Status {
    phase: watch::Sender<Phase>,
    code: AtomicU8,
}

const IDLE: u8 = 0;
const CONNECTING: u8 = 1;
const READY: u8 = 2;
const RECONNECTING: u8 = 3;
const BACKOFF: u8 = 4;

impl Status {
    pub(super) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Idle), code: AtomicU8::new(IDLE) }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_modify(|current| {
            self.code.store(phase.code(), Ordering::Relaxed);
            *current = phase;
        });
    }

    /// Ends [`Phase::Idle`]; false if it was over. Of those who call at once, one
    /// gets true.
    pub(super) fn wake(&self) -> bool {
        self.phase.send_if_modified(|current| {
            let idle = matches!(current, Phase::Idle);
            if idle {
                self.code.store(CONNECTING, Ordering::Relaxed);
                *current = Phase::Connecting { hopeful: true };
            }
            idle
        })
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// A hint: whatever it says may change before anyone acts on it, so nothing is
    /// ordered by it.
    pub(super) fn state(&self) -> State {
        match self.code.load(Ordering::Relaxed) {
            IDLE => State::Idle,
            READY => State::Ready,
            BACKOFF => State::Backoff,
            _ => State::Connecting,
        }
    }

    /// Whether a call can expect a connection. See [`Self::state`].
    pub(super) fn is_available(&self) -> bool {
        self.code.load(Ordering::Relaxed) < RECONNECTING
    }
}

impl Phase {
    fn code(&self) -> u8 {
        match self {
            Self::Idle => IDLE,
            Self::Connecting { hopeful: true } => CONNECTING,
            Self::Connecting { hopeful: false } => RECONNECTING,
            Self::Ready => READY,
            Self::Backoff(_) => BACKOFF,
        }
    }
}
