//! The inventory service, through its client, on SQLite or on Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod catalogue;
mod crash;
mod crowd;
mod display;
mod fixture;
mod input;
mod kit;
mod lapse;
mod model;
mod processes;
mod reservations;
mod search;
mod stock;
mod store;
