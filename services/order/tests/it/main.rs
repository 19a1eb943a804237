//! The order service through its client, on SQLite, with participants that keep
//! the promises of their contracts and fail on demand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod cancel;
mod cart;
mod checkout;
mod crash;
mod events;
mod inventory;
mod meters;
mod orders;
mod payment;
mod repetition;
mod shop;
mod store;
mod trouble;
mod world;
