//! Events as log lines.

use std::sync::Arc;

use super::{Event, Listener};
use crate::core::breaker::State;

/// Logs each event through `tracing`: what takes something away as a warning, what
/// gives it back as information, what may be frequent for debugging.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogListener;

/// Tells each event to all, in their order.
#[derive(Clone, Debug)]
pub struct Listeners(pub Vec<Arc<dyn Listener>>);

impl Listener for LogListener {
    fn on_event(&self, event: &Event) {
        match event {
            Event::BreakerChanged { .. }
            | Event::BreakerWouldOpen { .. }
            | Event::BreakerModeSet { .. } => log_breaker(event),
            Event::EndpointEjected { .. }
            | Event::EndpointReturned { .. }
            | Event::EndpointConnected { .. }
            | Event::EndpointLost { .. } => log_endpoint(event),
            _ => log_other(event),
        }
    }
}

impl Listener for Listeners {
    fn on_event(&self, event: &Event) {
        for listener in &self.0 {
            listener.on_event(event);
        }
    }
}

fn log_breaker(event: &Event) {
    match event {
        Event::BreakerChanged { breaker, from, to: State::Open, reason, wait } => {
            tracing::warn!(%breaker, %from, %reason, ?wait, "breaker opened");
        }
        Event::BreakerChanged { breaker, from, to: State::HalfOpen, reason, .. } => {
            tracing::info!(%breaker, %from, %reason, "breaker lets probes through");
        }
        Event::BreakerChanged { breaker, from, to: State::Closed, reason, .. } => {
            tracing::info!(%breaker, %from, %reason, "breaker closed");
        }
        Event::BreakerWouldOpen { breaker, reason } => {
            tracing::warn!(%breaker, %reason, "breaker would have opened");
        }
        Event::BreakerModeSet { breaker, mode } => {
            tracing::warn!(%breaker, ?mode, "breaker mode set");
        }
        _ => {}
    }
}

fn log_endpoint(event: &Event) {
    match event {
        Event::EndpointEjected { target, endpoint, cause, duration } => {
            tracing::warn!(peer = %target, %endpoint, cause, ?duration, "endpoint ejected");
        }
        Event::EndpointReturned { target, endpoint } => {
            tracing::info!(peer = %target, %endpoint, "endpoint returned");
        }
        Event::EndpointConnected { target, endpoint } => {
            tracing::debug!(peer = %target, %endpoint, "endpoint connected");
        }
        Event::EndpointLost { target, endpoint, cause } => {
            tracing::info!(peer = %target, %endpoint, %cause, "endpoint lost");
        }
        _ => {}
    }
}

fn log_other(event: &Event) {
    match event {
        Event::EndpointsChanged { target, added, removed, total: 0 } => {
            tracing::warn!(peer = %target, added, removed, total = 0, "no endpoint is left");
        }
        Event::EndpointsChanged { target, added, removed, total } => {
            tracing::debug!(peer = %target, added, removed, total, "endpoints changed");
        }
        Event::ResolutionFailed { target, cause } => {
            tracing::warn!(peer = %target, %cause, "addresses could not be found");
        }
        Event::PanicModeChanged { target, on: true } => {
            tracing::warn!(peer = %target, "too few endpoints are healthy, so all are used");
        }
        Event::PanicModeChanged { target, on: false } => {
            tracing::info!(peer = %target, "enough endpoints are healthy again");
        }
        Event::RetrySuppressed { target, cause } => {
            tracing::debug!(peer = %target, cause, "retry suppressed");
        }
        Event::ChaosChanged { rules: 0 } => tracing::info!("chaos cleared"),
        Event::ChaosChanged { rules } => tracing::warn!(rules, "chaos set"),
        // An event that is added later is not silent until someone finds words for it.
        other => tracing::info!(event = ?other, "event"),
    }
}

#[cfg(test)]
mod tests;
