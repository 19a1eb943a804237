//! What happened, for logs and spans.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::breaker;

/// Something that happens seldom and that someone may want to know.
///
/// An event is told after the change that it names is done and outside of any lock,
/// so a listener may call whatever it likes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A breaker has another state.
    BreakerChanged {
        breaker: Arc<str>,
        from: breaker::State,
        to: breaker::State,
        reason: breaker::Reason,
        /// How long it stays open, if it is open now.
        wait: Option<Duration>,
    },
    /// A breaker in the mode "metrics only" would have opened.
    BreakerWouldOpen { breaker: Arc<str>, reason: breaker::Reason },
    /// An operator set a mode.
    BreakerModeSet { breaker: Arc<str>, mode: breaker::Mode },
    /// An endpoint is left out for so long, for a [cause](crate::net::outlier::Cause).
    EndpointEjected {
        target: Arc<str>,
        endpoint: Arc<str>,
        cause: &'static str,
        duration: Duration,
    },
    /// An endpoint that was left out gets calls again.
    EndpointReturned { target: Arc<str>, endpoint: Arc<str> },
    /// An endpoint has a connection.
    EndpointConnected { target: Arc<str>, endpoint: Arc<str> },
    /// An endpoint lost its connection, or could not connect.
    EndpointLost { target: Arc<str>, endpoint: Arc<str>, cause: String },
    /// Other endpoints are in use, `total` in all.
    EndpointsChanged { target: Arc<str>, added: usize, removed: usize, total: usize },
    /// The addresses of a target could not be found; the old ones are kept.
    ResolutionFailed { target: Arc<str>, cause: String },
    /// Too few endpoints are healthy, so their health is not looked at.
    PanicModeChanged { target: Arc<str>, on: bool },
    /// Failed calls are not tried again, to spare the target. It is told seldom, and
    /// not for each call.
    RetrySuppressed { target: Arc<str>, cause: &'static str },
    /// Other rules of chaos are in force, so many.
    ChaosChanged { rules: usize },
}

/// Hears of events. It is called by whoever caused them, so it must be quick.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Hears of one event.
    fn on_event(&self, event: &Event);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoListener;

impl Listener for NoListener {
    fn on_event(&self, _: &Event) {}
}
