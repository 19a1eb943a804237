//! What is remembered of a span until it ends.

use opentelemetry::trace::SpanContext;

use super::fields::{self, Said, Status};
use super::otlp;

/// How many attributes, events and links a span has at most, each: what OpenTelemetry
/// says where nothing else is set.
const MOST: u32 = 128;

/// A span that will be exported.
#[derive(Debug)]
pub(super) struct Recording {
    /// Where its code says nothing else.
    name: &'static str,
    said: Said,
    /// How many attributes had no room.
    dropped: u32,
    events: u32,
    links: u32,
    /// Nanoseconds of Unix time.
    start: u64,
    /// When it was left for the last time, so far.
    left: Option<u64>,
}

impl Recording {
    pub(super) fn new(name: &'static str, said: Said, start: u64) -> Self {
        Self { name, said, dropped: 0, events: 0, links: 0, start, left: None }
    }

    pub(super) fn say(&mut self, more: Said) {
        let said = &mut self.said;
        said.name = more.name.or_else(|| said.name.take());
        said.kind = more.kind.or(said.kind);
        if said.attributes + more.attributes <= MOST {
            said.attributes += more.attributes;
            said.bytes.extend_from_slice(&more.bytes);
        } else {
            self.dropped = self.dropped.saturating_add(more.attributes);
        }
        self.ends_as(more.status);
    }

    pub(super) fn ends_as(&mut self, status: Status) {
        self.said.status = self.said.status.max(status);
    }

    pub(super) fn leave(&mut self, now: u64) {
        self.left = Some(now);
    }

    /// An event; `attributes` are written as such.
    pub(super) fn event(&mut self, name: &str, attributes: &[u8], now: u64) {
        if self.events < MOST {
            let mut event = Vec::with_capacity(32 + name.len() + attributes.len());
            otlp::time(&mut event, 1, now);
            otlp::text(&mut event, 2, name);
            event.extend_from_slice(attributes);
            otlp::message(&mut self.said.bytes, 11, &event);
        }
        self.events = self.events.saturating_add(1);
    }

    pub(super) fn link(&mut self, other: &SpanContext) {
        if self.links < MOST {
            let mut link = Vec::with_capacity(64);
            otlp::ids(&mut link, other);
            otlp::flags(&mut link, 6, other, other.is_remote());
            otlp::message(&mut self.said.bytes, 13, &link);
        }
        self.links = self.links.saturating_add(1);
    }

    /// The whole span as a message, now that it ends.
    pub(super) fn end(
        self,
        span: &SpanContext,
        parent: Option<&SpanContext>,
        now: impl FnOnce() -> u64,
    ) -> Vec<u8> {
        let Self { name, said, dropped, events, links, start, left } = self;
        let mut out = said.bytes;
        otlp::ids(&mut out, span);
        if let Some(parent) = parent {
            otlp::message(&mut out, 4, &parent.span_id().to_bytes());
        }
        otlp::text(&mut out, 5, said.name.as_deref().unwrap_or(name));
        otlp::number(&mut out, 6, said.kind.unwrap_or(fields::INTERNAL));
        otlp::time(&mut out, 7, start);
        otlp::time(&mut out, 8, left.unwrap_or_else(now));
        let (events, links) = (events.saturating_sub(MOST), links.saturating_sub(MOST));
        for (tag, dropped) in [(10, dropped), (12, events), (14, links)] {
            if 0 < dropped {
                otlp::number(&mut out, tag, dropped);
            }
        }
        // No text: it is free, and what kind of error it was is an attribute.
        match said.status {
            Status::Unset => {}
            Status::Ok => otlp::message(&mut out, 15, &[3 << 3, 1]),
            Status::Error => otlp::message(&mut out, 15, &[3 << 3, 2]),
        }
        otlp::flags(&mut out, 16, span, parent.is_some_and(SpanContext::is_remote));
        out
    }
}
