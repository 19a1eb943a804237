//! Where in a trace something happens, for code that goes on in another task or thread,
//! and for calls that come in.

mod scoped;

use std::sync::Arc;

use tracing::{Span, dispatcher, span};

pub use scoped::Scoped;

use crate::context::{self, Place, Stay};
use crate::gate::Gate;
use crate::propagation::{Remote, TraceId};
use crate::traces::{self, Decision};

/// A place in a trace: what is done in it has its ids.
///
/// It may have no `tracing` span, since a trace that nobody will look at has none, but
/// ids all the same. So what takes a call to another task or thread takes its scope
/// there, and not only its span.
#[derive(Clone, Debug)]
pub struct Scope {
    span: Span,
    /// Where it is, if the span does not say it itself.
    place: Option<Place>,
}

/// In a scope until it is dropped.
#[derive(Debug)]
#[must_use = "the scope is left when this is dropped"]
pub struct Entered<'a> {
    // It is left first.
    _span: Option<span::Entered<'a>>,
    _stay: Option<Stay>,
}

impl Scope {
    /// The one that the thread is in.
    pub fn current() -> Self {
        Self { span: Span::current(), place: context::current() }
    }

    /// That of a span.
    pub fn of(span: Span) -> Self {
        Self { span, place: None }
    }

    /// That of a call that comes in, as a part of `caller`'s trace, or else of that which
    /// the thread is in, or else of a new one.
    ///
    /// Whether its trace is sampled is settled before there is any span. `span`, which
    /// makes one of `target` at `info`, is asked for it only if it is: a call that nobody
    /// will look at costs no more than its ids. The caller's are handed on as they are
    /// where nothing is exported.
    ///
    /// Where [`Settings::spans`](crate::Settings::spans) leave `target` out, calls belong
    /// to no trace, and have no ids.
    pub fn of_call(caller: Option<&Remote>, target: &str, span: impl FnOnce() -> Span) -> Self {
        let decided = dispatcher::get_default(|dispatch| {
            let traces = dispatch.downcast_ref::<Gate>()?.traces();
            let parent = || caller.map(|caller| Arc::clone(&caller.0)).or_else(context::current);
            traces.shows(target).then(|| {
                let parent = parent();
                (traces.decide(parent.as_ref()), parent)
            })
        });
        let span = match decided {
            Some((Decision { place, is_recorded: false }, _)) => {
                return Self { span: Span::none(), place: Some(place) };
            }
            Some((Decision { place, .. }, parent)) => {
                let span = span();
                traces::begin(&span, place, parent);
                span
            }
            None => span(),
        };
        Self::of(span)
    }

    /// Its span, which may be none.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// As [`crate::propagation::trace_id`], for a scope.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.place().map(|place| place.trace_id())
    }

    /// As [`Remote::of`], for a scope.
    pub fn remote(&self) -> Option<Remote> {
        self.place().map(Remote)
    }

    fn place(&self) -> Option<Place> {
        self.place.clone().or_else(|| context::of(&self.span))
    }

    /// The thread is in it until what this returns is dropped.
    pub fn enter(&self) -> Entered<'_> {
        let stay = self.place.clone().map(Stay::at);
        let span = (!self.span.is_disabled()).then(|| self.span.enter());
        Entered { _span: span, _stay: stay }
    }

    /// Does `work` in it.
    pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        work()
    }

    /// Does all that `future` does in it.
    pub fn around<F>(self, future: F) -> Scoped<F> {
        Scoped::new(self, future)
    }
}
