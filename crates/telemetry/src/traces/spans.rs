//! Turns `tracing` spans into places in a trace, and those that are sampled into spans of
//! OTLP, which wait for their export as they will be sent.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::fields::{Fields, Keep as _, Said, Status, Told};
use super::filter::Recorded;
use super::otlp::Value;
use super::queue::Queue;
use super::recording::Recording;
use crate::context::{self, Place};

/// The layer.
pub(super) struct Spans {
    pub recorded: Recorded,
    /// Where spans go; `None`: nowhere.
    pub queue: Option<Arc<Queue>>,
}

/// What a span is to its trace; kept with it.
#[derive(Debug)]
struct Traced {
    /// Known once it has begun; from then on its parent is settled.
    place: Option<Place>,
    parent: Option<Place>,
    /// `None` if it is known that nobody will look at it.
    recording: Option<Recording>,
}

impl Traced {
    fn begin(&mut self, recorded: &Recorded) -> Place {
        if let Some(place) = &self.place {
            return Arc::clone(place);
        }
        let decision = recorded.decide(self.parent.as_ref());
        if !decision.is_recorded {
            self.recording = None;
        }
        Arc::clone(self.place.insert(decision.place))
    }
}

/// The place of `span`, which begins by that; `None` if it belongs to no trace.
pub(crate) fn place<R>(span: &SpanRef<'_, R>, recorded: &Recorded) -> Option<Place>
where
    R: for<'a> LookupSpan<'a>,
{
    // No lock is held between the two: others may look at a span that has begun.
    let begun = span.extensions().get::<Traced>()?.place.clone();
    begun.or_else(|| Some(span.extensions_mut().get_mut::<Traced>()?.begin(recorded)))
}

fn with<T>(span: &Span, work: impl FnOnce(&mut Traced) -> T) -> Option<T> {
    let of_registry = |registry: &Registry, id: &Id| {
        let span = registry.span(id)?;
        let mut extensions = span.extensions_mut();
        extensions.get_mut::<Traced>().map(work)
    };
    span.with_subscriber(|(id, dispatch)| of_registry(dispatch.downcast_ref()?, id)).flatten()
}

/// Settles that `span` is at `place` below `parent`, as was decided before there was it.
pub(crate) fn begin(span: &Span, place: Place, parent: Option<Place>) {
    with(span, |traced| {
        debug_assert_eq!(traced.place, None, "it has not been entered");
        (traced.place, traced.parent) = (Some(place), parent);
    });
}

/// Settles the parent of a span that has not begun; `false` if it has.
pub(crate) fn set_parent(span: &Span, parent: Place) -> bool {
    let set = with(span, |traced| {
        let may_be_set = traced.place.is_none();
        if may_be_set {
            traced.parent = Some(parent);
        }
        may_be_set
    });
    set.unwrap_or(true)
}

/// Links `span`, if it is recorded.
pub(crate) fn link(span: &Span, other: &opentelemetry::trace::SpanContext) {
    with(span, |traced| {
        if let Some(recording) = &mut traced.recording {
            recording.link(other);
        }
    });
}

/// Notes an event on the span that the thread is in.
pub(super) fn event(
    name: &str,
    attributes: impl IntoIterator<Item = (&'static str, opentelemetry::Value)>,
) {
    let mut told = Told::default();
    for (key, value) in attributes {
        if Told::wants(key) {
            match value {
                opentelemetry::Value::Bool(value) => told.keep(key, Value::Bool(value)),
                opentelemetry::Value::I64(value) => told.keep(key, Value::Int(value)),
                opentelemetry::Value::F64(value) => told.keep(key, Value::Float(value)),
                other => told.keep(key, Value::Text(&other.as_str())),
            }
        }
    }
    let note = |registry: &Registry, id: &Id| {
        let mut scope = registry.span(id)?.scope();
        scope.find_map(|span| note(&span, |recording| recording.event(name, &told.bytes, now())))
    };
    Span::current().with_subscriber(|(id, dispatch)| note(dispatch.downcast_ref()?, id));
}

/// Notes something of `span`, if it is recorded.
fn note<R>(span: &SpanRef<'_, R>, note: impl FnOnce(&mut Recording)) -> Option<()>
where
    R: for<'a> LookupSpan<'a>,
{
    let mut extensions = span.extensions_mut();
    extensions.get_mut::<Traced>()?.recording.as_mut().map(note)
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = if attributes.is_contextual() {
            context::current()
        } else {
            let parent = attributes.parent().and_then(|id| context.span(id));
            parent.and_then(|parent| place(&parent, &self.recorded))
        };
        let recording = self.queue.is_some().then(|| {
            // Most spans need no more.
            let mut said = Said { bytes: Vec::with_capacity(512), ..Said::default() };
            attributes.record(&mut Fields(&mut said));
            Recording::new(attributes.metadata().name(), said, now())
        });
        span.extensions_mut().insert(Traced { place: None, parent, recording });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(place) = context.span(id).and_then(|span| place(&span, &self.recorded)) {
            context::enter(Some(id), place);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        context::leave(Some(id));
        if let Some(span) = context.span(id) {
            note(&span, |recording| recording.leave(now()));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(is_recorded) else { return };
        // Not under the lock: what is recorded may log.
        let mut said = Said::default();
        values.record(&mut Fields(&mut said));
        note(&span, |recording| recording.say(said));
    }

    /// Warnings and errors; the filter lets through no others.
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event).filter(is_recorded) else { return };
        let metadata = event.metadata();
        let mut told = Told::default();
        told.keep("target", Value::Text(metadata.target()));
        event.record(&mut Fields(&mut told));
        let name = told.name.as_deref().unwrap_or(metadata.name());
        note(&span, |recording| {
            recording.event(name, &told.bytes, now());
            if *metadata.level() == Level::ERROR {
                recording.ends_as(Status::Error);
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut traced) = span.extensions_mut().remove::<Traced>() else { return };
        let place = traced.begin(&self.recorded);
        if let (Some(recording), Some(queue)) = (traced.recording, &self.queue) {
            queue.put(|| recording.end(&place, traced.parent.as_deref(), now));
        }
    }
}

fn is_recorded<R>(span: &SpanRef<'_, R>) -> bool
where
    R: for<'a> LookupSpan<'a>,
{
    span.extensions().get::<Traced>().is_some_and(|traced| traced.recording.is_some())
}

/// Nanoseconds of Unix time.
#[expect(clippy::disallowed_methods, reason = "whoever reads it compares it with their own clock")]
fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
