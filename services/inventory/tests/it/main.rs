//! The inventory service, through its client, on SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod catalogue;
mod crowd;
mod fixture;
mod input;
mod lapse;
mod model;
mod reservations;
mod search;
mod stock;
mod store;
