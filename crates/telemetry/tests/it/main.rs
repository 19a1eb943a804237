//! Telemetry as a process uses it, with a real collector at the other end.

mod bad_collector;
mod calls;
mod json;
mod kit;
mod logs;
mod metrics;
mod privacy;
mod propagation;
mod records;
mod sampling;
mod settings;
mod sinks;
mod tree;
