//! Calls over a real balancer, in a time that is moved by hand.

mod behaviours;
mod ejection;
mod membership;
mod observation;
mod properties;
mod spread;
mod world;
mod zones;
