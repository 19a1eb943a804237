//! The user service, through its client, on SQLite or Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod audit;
mod fixture;
mod input;
mod secrets;
mod session_cache;
mod sessions;
mod shards;
mod sign_in;
mod store;
