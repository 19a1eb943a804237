//! The order service through its client, with participants that keep the promises of
//! their contracts and fail on demand. Its records are in SQLite, or in whatever
//! `TRELLIS_TEST_DATABASE` says; those of its stores are in each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod away;
mod cancel;
mod cart;
mod checkout;
mod crash;
mod events;
mod ground;
mod heard;
mod heartbeat;
mod inventory;
mod meters;
mod orders;
mod payment;
mod races;
mod records;
mod repetition;
mod shop;
mod store;
mod trouble;
mod world;
