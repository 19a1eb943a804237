//! The whole shop, as its users meet it.
//!
//! What the public API promises is asked of one process and of a fleet of
//! processes by the same tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kit;

mod architecture;
mod bad_input;
mod canary;
mod command_line;
mod crash_points;
mod edges;
mod events;
mod faults;
mod full_disk;
mod journey;
mod kill;
mod metrics;
mod operators;
mod processor;
mod races;
mod redis;
mod shards;
mod traces;
