//! Faults on purpose, so that what this crate promises can be tried in a running
//! system.
//!
//! A [`Chaos`] is shared by everything that makes calls. It is off until someone sets
//! rules, and then costs each call one relaxed load of a flag.

mod json;
mod layer;
mod rule;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tonic::Code;

use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::core::random::Random;
use crate::observe::{Counter, Event};

pub use layer::{ChaosLayer, Chaotic, OnPurpose, Struck};
pub use rule::{Effect, Latency, MAX_RULES, Problem, Rule};

/// What to do with the calls that are about to be sent. Made once and shared.
#[derive(Debug)]
pub struct Chaos {
    on: AtomicBool,
    rules: ArcSwap<Vec<Armed>>,
    changing: Mutex<()>,
    environment: Environment,
}

/// What happens to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is sent only after this time.
    Latency(Duration),
    /// It is not sent; this is its answer, as if the peer had given it.
    Error(Code),
    /// It is not sent and has no answer. It ends when its caller stops waiting.
    Hang,
    /// It is not sent and ends as
    /// [`ConnectionLost`](crate::outcome::FailureKind::ConnectionLost).
    Reset,
    /// It is sent and processed. Its answer is thrown away, and it ends as
    /// [`ConnectionLost`](crate::outcome::FailureKind::ConnectionLost).
    DropResponse,
}

/// One of the rules cannot be meant. None of them was set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("rules[{index}]: {problem}")]
pub struct InvalidRule {
    /// Counted from zero.
    pub index: usize,
    pub problem: Problem,
}

/// A rule and what it has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// As it was set.
    pub rule: Rule,
    /// How often it struck.
    pub struck: u64,
    /// Whether its time or its hits are used up.
    pub over: bool,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    until: Option<Time>,
    struck: AtomicU64,
    strikes: Counter,
}

impl Chaos {
    /// Without rules. `environment` says how long rules last and hears when they
    /// change.
    pub fn new(environment: &Environment) -> Self {
        Self {
            on: AtomicBool::new(false),
            rules: ArcSwap::default(),
            changing: Mutex::new(()),
            environment: environment.clone(),
        }
    }

    /// What happens to an attempt to call `method` of `target`, if anything does.
    ///
    /// `method` is the path of a gRPC call, or the name of an operation. Rules are
    /// asked in their order, and the first that strikes is the only one.
    #[inline]
    pub fn strike(&self, target: &str, method: &str, random: &Random) -> Option<Fault> {
        // Nothing is read through the flag: who sees it too early finds the old rules.
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        self.strike_by_rule(target, method, random)
    }

    /// Replaces all rules; their hits and times begin now.
    pub fn set(&self, rules: Vec<Rule>) -> Result<(), InvalidRule> {
        rule::check(&rules)?;
        let now = self.environment.clock.now();
        let armed: Vec<Armed> = rules.into_iter().map(|rule| self.arm(rule, now)).collect();
        let count = armed.len();
        {
            // So that the flag of one change cannot meet the rules of another.
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            self.rules.store(Arc::new(armed));
            self.on.store(count > 0, Ordering::Relaxed);
        }
        self.environment.listener.on_event(&Event::ChaosChanged { rules: count });
        Ok(())
    }

    /// Removes all rules. Faults that have begun go on to their end.
    pub fn clear(&self) {
        self.set(Vec::new()).expect("no rule can be wrong");
    }

    /// The rules in their order.
    pub fn standing(&self) -> Vec<Standing> {
        let now = self.environment.clock.now();
        self.rules.load().iter().map(|armed| armed.standing(now)).collect()
    }

    #[cold]
    fn strike_by_rule(&self, target: &str, method: &str, random: &Random) -> Option<Fault> {
        let rules = self.rules.load();
        let now = self.environment.clock.now();
        let armed = rules.iter().find(|armed| armed.strikes(target, method, now, random))?;
        armed.strikes.increment();
        Some(armed.rule.fault.draw(random))
    }

    fn arm(&self, rule: Rule, now: Time) -> Armed {
        let labels = [
            ("target", rule.target.clone()),
            ("method", rule.method.clone()),
            ("fault", rule.fault.name().to_owned()),
        ];
        let strikes = self.environment.metrics.counter("resilience_chaos_strikes_total", &labels);
        let until = rule.lasting.map(|lasting| now + lasting);
        Armed { rule, until, struck: AtomicU64::new(0), strikes }
    }
}

impl Armed {
    fn strikes(&self, target: &str, method: &str, now: Time, random: &Random) -> bool {
        self.rule.concerns(target, method)
            && !self.is_past(now)
            && random.chance(self.rule.share)
            && self.take_hit()
    }

    /// Counts a hit, unless they are used up: of two threads that want the last one,
    /// one has it.
    fn take_hit(&self) -> bool {
        let limit = self.rule.hits.unwrap_or(u64::MAX);
        let counted = |struck| (struck < limit).then_some(struck + 1);
        self.struck.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).is_ok()
    }

    fn is_past(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn standing(&self, now: Time) -> Standing {
        let struck = self.struck.load(Ordering::Relaxed);
        let used_up = self.rule.hits.is_some_and(|hits| hits <= struck);
        Standing { rule: self.rule.clone(), struck, over: used_up || self.is_past(now) }
    }
}

#[cfg(test)]
mod tests;
