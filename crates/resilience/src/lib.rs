//! Calls that fail well.
//!
//! Everything between a caller and a peer that may be slow, broken or gone: circuit
//! breakers, retries within a budget, deadlines that are handed on, hedging, limits
//! that adapt, load balancing that sees errors, and the same for calls that are not
//! gRPC. It knows nothing of the system that it serves.
//!
//! [`core`] holds the decisions, as plain state machines that are told the time.
//! [`grpc`], [`net`] and [`exec`] put them around real calls.

pub mod chaos;
pub mod context;
pub mod core;
pub mod exec;
pub mod grpc;
pub mod net;
pub mod observe;
pub mod policy;
pub mod registry;
mod runtime;

pub use crate::core::environment::Environment;
pub use crate::core::{clock, outcome};
pub use crate::runtime::TokioClock;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
