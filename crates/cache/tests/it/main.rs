//! Caches in one process, in several over a real Redis, and when that fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod forward;
mod kit;
mod memory;
mod processes;
mod rate;
mod server;
