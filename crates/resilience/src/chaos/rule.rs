//! The rules of chaos, in memory and as JSON.
//!
//! ```json
//! {"target": "payment", "method": "*", "share": 0.5, "fault": {"error": "UNAVAILABLE"}}
//! {"target": "payment", "fault": {"latency_ms": [100, 300]}, "for_ms": 60000}
//! {"method": "/trellis.payment.v1.PaymentService/*", "fault": "drop_response", "hits": 3}
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::Code;

use super::{Fault, InvalidRule, json};
use crate::core::random::Random;

/// The most rules at a time: every call asks all of them.
pub const MAX_RULES: usize = 100;

/// Whom a fault strikes, how often and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of a target. With `*` at the end: every name that begins so; `*`
    /// alone, the default, is every target.
    #[serde(default = "any")]
    pub target: String,
    /// The path of a gRPC method or the name of an operation; `*` as for the target.
    #[serde(default = "any")]
    pub method: String,
    /// The share of attempts that it strikes, in `0.0..=1.0`; default 1.
    #[serde(default = "all")]
    pub share: f64,
    /// What happens to the attempts that it strikes.
    pub fault: Effect,
    /// It is over after this many strikes. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<u64>,
    /// It is over this long after it was set. Default: never.
    #[serde(
        rename = "for_ms",
        default,
        skip_serializing_if = "Option::is_none",
        with = "json::optional_millis"
    )]
    pub lasting: Option<Duration>,
}

/// What a rule does. [`Fault`] is what becomes of it for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The attempt begins so much later; the wait counts as part of it.
    #[serde(rename = "latency_ms")]
    Latency(Latency),
    /// By its name, such as `UNAVAILABLE`.
    Error(#[serde(with = "json::code_name")] Code),
    /// Nothing is sent, and no answer ever comes.
    Hang,
    /// Nothing is sent, and the connection seems lost.
    Reset,
    /// The peer does its work, and its answer is lost with the connection.
    DropResponse,
}

/// Uniform between two times, which may be the same. In JSON, milliseconds: one number
/// or two in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub from: Duration,
    /// The longest; not below `from`.
    pub to: Duration,
}

/// Why a rule cannot be meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    #[error("share is {0}, which is not between 0 and 1")]
    Share(f64),
    #[error("{field} is empty; \"*\" means any")]
    Empty { field: &'static str },
    #[error("{field} is {pattern:?}; \"*\" may only stand at its end")]
    Star { field: &'static str, pattern: String },
    #[error("the latency begins at {from:?} and ends at {to:?}")]
    Backwards { from: Duration, to: Duration },
    #[error("OK is not an error; to lose an answer use \"drop_response\"")]
    NotAnError,
    #[error("{field} is 0, so the rule would never strike")]
    Never { field: &'static str },
    #[error("there are {0} rules; at most {MAX_RULES} can be set")]
    TooMany(usize),
}

impl Rule {
    /// Strikes every attempt of every target until it is removed.
    pub fn new(fault: Effect) -> Self {
        Self { target: any(), method: any(), share: all(), fault, hits: None, lasting: None }
    }

    /// See the field [`target`](Self::target). Default `*`.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// See the field [`method`](Self::method). Default `*`.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = method.into();
        self
    }

    /// In `0.0..=1.0`. Default 1. What is out of range is refused when the rule is set.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// It is over after this many strikes, at least 1. Default: never.
    #[must_use]
    pub fn hits(mut self, hits: u64) -> Self {
        self.hits = Some(hits);
        self
    }

    /// It is over this long after it was set, more than zero. Default: never.
    #[must_use]
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting = Some(lasting);
        self
    }

    pub(super) fn concerns(&self, target: &str, method: &str) -> bool {
        matches(&self.target, target) && matches(&self.method, method)
    }

    fn check(&self) -> Result<(), Problem> {
        check_pattern("target", &self.target)?;
        check_pattern("method", &self.method)?;
        if !(0.0..=1.0).contains(&self.share) {
            return Err(Problem::Share(self.share));
        }
        match self.fault {
            Effect::Latency(Latency { from, to }) if to < from => {
                return Err(Problem::Backwards { from, to });
            }
            Effect::Error(Code::Ok) => return Err(Problem::NotAnError),
            _ => {}
        }
        if self.hits == Some(0) {
            return Err(Problem::Never { field: "hits" });
        }
        if self.lasting == Some(Duration::ZERO) {
            return Err(Problem::Never { field: "for_ms" });
        }
        Ok(())
    }
}

impl Effect {
    /// The same time for each attempt.
    pub const fn latency(time: Duration) -> Self {
        Self::Latency(Latency { from: time, to: time })
    }

    /// As in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency_ms",
            Self::Error(_) => "error",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::DropResponse => "drop_response",
        }
    }

    pub(super) fn draw(&self, random: &Random) -> Fault {
        match *self {
            Self::Latency(Latency { from, to }) => Fault::Latency(random.between(from, to)),
            Self::Error(code) => Fault::Error(code),
            Self::Hang => Fault::Hang,
            Self::Reset => Fault::Reset,
            Self::DropResponse => Fault::DropResponse,
        }
    }
}

pub(super) fn check(rules: &[Rule]) -> Result<(), InvalidRule> {
    if rules.len() > MAX_RULES {
        return Err(InvalidRule { index: MAX_RULES, problem: Problem::TooMany(rules.len()) });
    }
    for (index, rule) in rules.iter().enumerate() {
        rule.check().map_err(|problem| InvalidRule { index, problem })?;
    }
    Ok(())
}

fn check_pattern(field: &'static str, pattern: &str) -> Result<(), Problem> {
    if pattern.is_empty() {
        return Err(Problem::Empty { field });
    }
    if pattern.find('*').is_some_and(|at| at + 1 < pattern.len()) {
        return Err(Problem::Star { field, pattern: pattern.to_owned() });
    }
    Ok(())
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |prefix| text.starts_with(prefix))
}

fn any() -> String {
    "*".to_owned()
}

const fn all() -> f64 {
    1.0
}
