//! Where in a trace the thread is, and which place in a trace a `tracing` span stands for.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tracing::{Dispatch, Span, span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

use crate::gate::Gate;
use crate::traces;

/// A place in a trace, which is always valid.
pub(crate) type Place = Arc<SpanContext>;

thread_local! {
    /// The places that the thread is in, the innermost last, each with the span that it
    /// was entered by, if there is one.
    static PLACES: RefCell<Vec<(Option<span::Id>, Place)>> = const { RefCell::new(Vec::new()) };
}

/// The thread is at a place without a span until it is dropped.
#[derive(Debug)]
pub(crate) struct Stay {
    /// It ends on the thread that it began on.
    thread: PhantomData<*const ()>,
}

impl Stay {
    pub(crate) fn at(place: Place) -> Self {
        enter(None, place);
        Self { thread: PhantomData }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        leave(None);
    }
}

pub(crate) fn enter(span: Option<&span::Id>, place: Place) {
    // A thread that ends has no place any more.
    let _ = PLACES.try_with(|places| places.borrow_mut().push((span.cloned(), place)));
}

/// Spans need not be left in the order in which they were entered.
pub(crate) fn leave(span: Option<&span::Id>) {
    let _ = PLACES.try_with(|places| {
        let mut places = places.borrow_mut();
        if let Some(index) = places.iter().rposition(|(by, _)| by.as_ref() == span) {
            places.remove(index);
        }
    });
}

/// What `look` sees in the place that the thread is at; `None` outside of any.
pub(crate) fn look<T>(look: impl FnOnce(&Place) -> T) -> Option<T> {
    PLACES.try_with(|places| places.borrow().last().map(|(_, place)| look(place))).ok().flatten()
}

/// The place that the thread is at; `None` outside of any.
pub(crate) fn current() -> Option<Place> {
    look(Place::clone)
}

/// That of `span`, or of the nearest of its ancestors that has one; where none
/// has, that of the span that the thread is in.
///
/// This begins the span: its parent is settled from here on.
pub(crate) fn of(span: &Span) -> Option<Place> {
    span.with_subscriber(|(id, dispatch)| by_id(id, dispatch)).flatten().or_else(current)
}

/// As [`of`], for a span that only its id is known of.
pub(crate) fn by_id(id: &span::Id, dispatch: &Dispatch) -> Option<Place> {
    let recorded = dispatch.downcast_ref::<Gate>()?.traces();
    let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
    span.scope().find_map(|span| traces::place(&span, recorded))
}
