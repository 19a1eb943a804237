//! The last stretch of a span: what waits, and what is taken along.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::runtime::Handle;

use crate::attributes;
use crate::tally::Tally;

/// Lets spans into the queue while there is room, and counts the others.
///
/// The queue behind has a bound too, but does not say how much it dropped.
#[derive(Debug)]
pub(crate) struct Bounded<P> {
    next: P,
    tally: Arc<Tally>,
}

impl<P> Bounded<P> {
    pub(crate) fn new(next: P, tally: Arc<Tally>) -> Self {
        Self { next, tally }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.admit() {
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Exports what the list of attributes allows, and nothing else, for a limited
/// time. Runs on the thread of the queue, so requests do not pay for it.
#[derive(Debug)]
pub(crate) struct Listed<E> {
    next: E,
    tally: Arc<Tally>,
    runtime: Handle,
    limit: Duration,
}

impl<E> Listed<E> {
    /// `limit` is how long a batch may take; timers are those of `runtime`.
    pub(crate) fn new(next: E, tally: Arc<Tally>, runtime: Handle, limit: Duration) -> Self {
        Self { next, tally, runtime, limit }
    }
}

impl<E: SpanExporter> SpanExporter for Listed<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.tally.took(count);
        batch.iter_mut().for_each(keep_listed);
        let export = {
            let _timers = self.runtime.enter();
            tokio::time::timeout(self.limit, self.next.export(batch))
        };
        let outcome = match export.await {
            Ok(outcome) => outcome,
            Err(_) => Err(OTelSdkError::Timeout(self.limit)),
        };
        self.tally.sent(count as u64, outcome.as_ref().err());
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

fn keep_listed(span: &mut SpanData) {
    let listed = |pair: &KeyValue| attributes::is_allowed(pair.key.as_str());
    span.attributes.retain(listed);
    for event in &mut span.events.events {
        event.attributes.retain(listed);
    }
    for link in &mut span.links.links {
        link.attributes.retain(listed);
    }
    // Free text; what kind of error it was is an attribute.
    if matches!(span.status, Status::Error { .. }) {
        span.status = Status::error("");
    }
}
