//! The answer to a call that may not be made.

use std::time::Duration;

use super::{Mode, State};

/// The call was not admitted and must not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", explain(*.state, *.mode))]
pub struct Rejected {
    /// When it makes sense to ask again: what is left of the wait. While a breaker is
    /// half-open or recovers, at most [`Settings::open_base`](super::Settings); when an
    /// operator holds it open, [`Settings::open_cap`](super::Settings).
    pub retry_after: Duration,
    /// [`State::Closed`] if the breaker has just closed and admits a growing share of
    /// the calls, of which this one was not.
    pub state: State,
    pub mode: Mode,
}

impl Rejected {
    /// Whether it is the ramp after a recovery that did not admit the call.
    pub fn is_ramp(&self) -> bool {
        self.state == State::Closed
    }
}

fn explain(state: State, mode: Mode) -> &'static str {
    match (mode, state) {
        (Mode::ForcedOpen, _) => "the circuit breaker is held open by an operator",
        (_, State::Closed) => "the circuit breaker has just closed and admits only some calls yet",
        (_, State::Open) => "the circuit breaker is open",
        (_, State::HalfOpen) => "the circuit breaker is half-open and all its probes are out",
    }
}
