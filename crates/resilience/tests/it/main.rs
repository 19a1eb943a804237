//! Whole stacks, and real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod balancing;
mod behaviours;
mod calls;
mod chain;
mod collapse;
mod deadlines;
mod endpoint;
mod fleets;
mod hedging;
mod metrics;
mod overload;
mod peer;
mod resolving;
mod retrying;
mod server;
mod serving;
mod streaming;
