//! What the crate tells about itself: numbers, and events.
//!
//! Numbers go through a small facade, so that any metrics library can take them.
//! Handles are made once, when something is built; counting then neither allocates
//! nor looks anything up.

mod channel;
pub mod event;
mod log;
mod metrics;
pub mod recorder;

pub use channel::{ChannelListener, Events, channel};
pub use event::{Event, Listener, NoListener};
pub use log::{Listeners, LogListener};
pub use metrics::{
    Counter, CounterSink, Gauge, GaugeSink, Histogram, HistogramSink, Label, Metrics, NoMetrics,
};
pub use recorder::Recorder;
