//! Whether an endpoint is used, readable without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::core::clock::Time;

/// Changed only while the ledger of the book is locked; the place of the probe is the
/// exception.
#[derive(Debug)]
pub(super) struct Standing {
    /// See [`Reading`].
    word: AtomicU64,
    /// When it may prove itself, if it is not healthy.
    until: AtomicU64,
    /// When the call that is to prove it began; zero if there is none.
    probe: AtomicU64,
    /// How often it was left out, less the sweeps that it was well since.
    trips: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) phase: Phase,
    /// Its peers were better, which is judged more slowly.
    pub(super) by_peers: bool,
    /// Counts the changes, so that calls from before one say nothing after it.
    pub(super) generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Healthy,
    /// It would be left out, but too many are.
    Suspect,
    Ejected,
    /// It is not a member any more.
    Removed,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(Reading::NEW.pack()),
            until: AtomicU64::new(0),
            probe: AtomicU64::new(0),
            trips: AtomicU32::new(0),
        }
    }

    pub(super) fn read(&self) -> Reading {
        // Acquire, with the release in `change`: who sees the new phase must not see
        // the old `until`.
        Reading::unpack(self.word.load(Ordering::Acquire))
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.read().phase == Phase::Ejected
    }

    pub(super) fn until(&self) -> Time {
        Time::from_nanos(self.until.load(Ordering::Relaxed))
    }

    pub(super) fn trips(&self) -> u32 {
        self.trips.load(Ordering::Relaxed)
    }

    pub(super) fn set_trips(&self, trips: u32) {
        self.trips.store(trips, Ordering::Relaxed);
    }

    /// Starts a new generation.
    pub(super) fn change(&self, phase: Phase, by_peers: bool, until: Time) {
        let generation = self.read().generation.wrapping_add(1);
        self.until.store(until.as_nanos(), Ordering::Relaxed);
        self.probe.store(0, Ordering::Relaxed);
        let reading = Reading { phase, by_peers, generation };
        self.word.store(reading.pack(), Ordering::Release);
    }

    /// Takes the place of the one call that may prove an endpoint; false if it has one.
    pub(super) fn claim_probe(&self, now: Time) -> bool {
        let began = now.as_nanos().max(1);
        self.probe.compare_exchange(0, began, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn release_probe(&self) {
        self.probe.store(0, Ordering::Relaxed);
    }

    /// When the call that is to prove it began.
    pub(super) fn probe(&self) -> Option<Time> {
        match self.probe.load(Ordering::Relaxed) {
            0 => None,
            began => Some(Time::from_nanos(began)),
        }
    }
}

impl Reading {
    const NEW: Self = Self { phase: Phase::Healthy, by_peers: false, generation: 0 };

    fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.by_peers) << 8 | self.phase as u64
    }

    fn unpack(word: u64) -> Self {
        let phase = match word & 0xff {
            0 => Phase::Healthy,
            1 => Phase::Suspect,
            2 => Phase::Ejected,
            _ => Phase::Removed,
        };
        Self { phase, by_peers: word & 0x100 != 0, generation: (word >> 32) as u32 }
    }
}
