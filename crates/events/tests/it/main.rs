//! Events from the outbox to their effect, on real databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bus;
mod consumer;
mod crash;
mod dead_letters;
mod jetstream;
mod metrics;
mod outbox;
mod plan;
mod relay;
mod running;
mod world;
