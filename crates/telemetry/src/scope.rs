//! Where in a trace something happens, for code that goes on in another task or thread,
//! and for calls that come in.

mod scoped;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};
use tracing::{Span, dispatcher, span};

pub use scoped::Scoped;

use crate::context;
use crate::gate::Gate;
use crate::propagation::{self, Remote, TraceId};
use crate::traces::{self, Decision};

/// A place in a trace: what is done in it has its ids.
///
/// It may have no `tracing` span, since a trace that nobody will look at has none, but
/// ids all the same. So what takes a call to another task or thread takes its scope
/// there, and not only its span.
#[derive(Clone, Debug)]
pub struct Scope {
    span: Span,
    /// Where the span does not say it itself.
    context: Option<Context>,
}

/// In a scope until it is dropped.
#[derive(Debug)]
#[must_use = "the scope is left when this is dropped"]
pub struct Entered<'a> {
    // It is left first.
    _span: Option<span::Entered<'a>>,
    _context: Option<ContextGuard>,
}

impl Scope {
    /// The one that the thread is in.
    pub fn current() -> Self {
        let context = Context::map_current(|context| {
            context.span().span_context().is_valid().then(|| context.clone())
        });
        Self { span: Span::current(), context }
    }

    /// That of a span.
    pub fn of(span: Span) -> Self {
        Self { span, context: None }
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
        let decision = dispatcher::get_default(|dispatch| {
            let traces = dispatch.downcast_ref::<Gate>()?.traces();
            let parent = || caller.map(|caller| caller.0.clone()).or_else(context::current);
            traces.shows(target).then(|| traces.decide(parent()))
        });
        match decision {
            Some(Decision::Unsampled(ids)) => {
                let context = Context::new().with_remote_span_context(ids);
                Self { span: Span::none(), context: Some(context) }
            }
            decision => {
                let span = span();
                match (caller, decision) {
                    (Some(caller), _) => propagation::set_parent(&span, caller),
                    (None, Some(Decision::Begin(trace))) => traces::begin(&span, trace),
                    (None, _) => {}
                }
                Self::of(span)
            }
        }
    }

    /// Its span, which may be none.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// As [`propagation::trace_id`], for a scope.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.context().map(|context| context.trace_id())
    }

    /// As [`Remote::of`], for a scope.
    pub fn remote(&self) -> Option<Remote> {
        self.context().map(Remote)
    }

    fn context(&self) -> Option<SpanContext> {
        match &self.context {
            Some(context) => Some(context.span().span_context().clone()),
            None => context::of(&self.span),
        }
    }

    /// The thread is in it until what this returns is dropped.
    pub fn enter(&self) -> Entered<'_> {
        let context = self.context.clone().map(Context::attach);
        let span = (!self.span.is_disabled()).then(|| self.span.enter());
        Entered { _span: span, _context: context }
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
