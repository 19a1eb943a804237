//! The decisions, free of any runtime: each is a state machine that is told the
//! time, never waits, and can be tested by moving a clock by hand.

pub mod backoff;
pub mod breaker;
pub mod budget;
mod cell;
pub mod clock;
pub mod environment;
pub mod hedge;
pub mod latency;
pub mod limit;
pub mod outcome;
pub mod queue;
pub mod random;
pub mod rate;
mod shard;
pub mod throttle;

#[cfg(test)]
mod simulation;
