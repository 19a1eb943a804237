//! The gateway through its own door, before services that keep their contracts and
//! fail on demand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cart;
mod checkout;
mod consistency;
mod page;
mod peers;
mod shop;
mod suggestions;
