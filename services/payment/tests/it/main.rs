//! The payment service, asked through its client, with the sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kit;
mod line;
mod server;

mod audit;
mod authorize;
mod capture;
mod crash;
mod http;
mod outage;
mod properties;
mod race;
mod reconcile;
mod refund;
mod sandbox;
mod settings;
mod store;
mod void;
