//! The span that a line belongs to.

use opentelemetry::trace::SpanContext;
use tracing::Event;

use super::Itself;
use crate::context;

/// The one that `event` names, else the one that the thread is in.
pub(crate) fn of(event: &Event<'_>, itself: &Itself) -> Option<SpanContext> {
    match event.parent() {
        Some(id) => context::by_id(id, &itself.get()?.upgrade()?),
        None if event.is_contextual() => context::current(),
        None => None,
    }
}
