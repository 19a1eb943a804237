//! A breaker as an operator sees it.

use serde::Serialize;

use super::cell::Cell64;
use super::machine::Machine;
use super::{Mode, State, Totals};
use crate::core::clock::Time;

/// The breaker at one moment, for people to read. Other threads may have changed it
/// while it was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    pub name: String,
    pub state: State,
    pub mode: Mode,
    /// The number of changes of state and mode.
    pub generation: u64,
    pub window: Totals,
    /// In `0.0..=1.0`; zero without calls.
    pub failure_rate: f64,
    /// In `0.0..=1.0`; zero without calls.
    pub slow_rate: f64,
    pub consecutive_failures: u64,
    /// While it is open by itself: in how many milliseconds it takes a probe.
    pub retry_after_ms: Option<u64>,
    /// While it recovers: the share of the calls that it admits, in `0.0..=1.0`.
    pub admitted_share: Option<f64>,
    pub trips_in_a_row: u32,
    /// Outcomes of calls that were admitted before a change and so were not counted.
    pub stale_outcomes: u64,
}

impl Snapshot {
    pub(super) fn of<C: Cell64>(name: &str, machine: &Machine<C>, now: Time) -> Self {
        let window = machine.totals(now);
        let wait = machine.remaining_wait(now);
        Self {
            name: name.to_owned(),
            state: machine.state_at(now),
            mode: machine.mode(),
            generation: machine.generation(),
            window,
            failure_rate: window.failure_rate(),
            slow_rate: window.slow_rate(),
            consecutive_failures: machine.consecutive_failures(),
            retry_after_ms: wait
                .map(|wait| wait.as_nanos().div_ceil(1_000_000))
                .map(|wait| u64::try_from(wait).expect("no wait is longer than an hour")),
            admitted_share: machine.ramp_share(now),
            trips_in_a_row: machine.trips(now),
            stale_outcomes: machine.stale_outcomes(),
        }
    }
}
