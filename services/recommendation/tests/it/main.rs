//! The service through its clients, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod events;
mod history;
mod kit;
mod race;
mod recommend;
mod store;
