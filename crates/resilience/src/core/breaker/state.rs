//! The words for what a breaker does, and why.

use std::fmt;

use serde::Serialize;

/// Whether calls pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass and are judged; for a while after it closed, only some of them.
    Closed,
    /// Nothing passes until the wait is over.
    Open,
    /// A few probes pass, and decide.
    HalfOpen,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    FailureRate,
    /// Too large a share of slow calls.
    SlowRate,
    /// The time to stay open has passed.
    WaitOver,
    /// The probes succeeded.
    Recovered,
    /// A probe failed.
    ProbeFailed,
    /// A probe took too long.
    ProbeLost,
    /// An operator said so.
    Forced,
}

/// How much the breaker has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It decides by what it sees.
    #[default]
    Normal,
    /// Nothing passes.
    ForcedOpen,
    /// Everything passes and nothing is recorded.
    Disabled,
    /// Everything passes, and the breaker says when it would have opened.
    MetricsOnly,
}

impl State {
    /// As it is written in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Reason {
    /// As it is written in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::WaitOver => "wait_over",
            Self::Recovered => "recovered",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeLost => "probe_lost",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
