//! The trace context on its way from process to process: W3C's `traceparent` and
//! `tracestate`, in the headers of a call or of an event.
//!
//! What arrives is read strictly, and nonsense is taken for nothing: a new trace
//! begins then. Baggage is neither read nor sent, so that nothing of one request
//! reaches whoever serves it unseen.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::str::FromStr as _;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
use tracing::Span;

pub use opentelemetry::trace::TraceId;

use crate::context::{self, Place};
use crate::hex::Hex;
use crate::traces;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// How many characters a `traceparent` of ours has.
const LENGTH: usize = 55;
/// As many characters of `tracestate` as W3C asks everyone to pass on. A longer
/// one is not passed on at all.
const LONGEST_STATE: usize = 512;

/// What carries a trace context: the headers of a call or those of an event.
pub trait Carrier {
    /// The value of `name`; `None` if it is absent, given more than once, or no
    /// text.
    fn get(&self, name: &'static str) -> Option<&str>;

    /// Gives `name` this one value.
    fn set(&mut self, name: &'static str, value: String);
}

impl Carrier for HeaderMap {
    fn get(&self, name: &'static str) -> Option<&str> {
        let mut values = self.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        only.to_str().ok()
    }

    fn set(&mut self, name: &'static str, value: String) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.insert(HeaderName::from_static(name), value);
        }
    }
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn get(&self, name: &'static str) -> Option<&str> {
        HashMap::get(self, name).map(String::as_str)
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.insert(name.to_owned(), value);
    }
}

/// A span of another process, or of an earlier time. Displays as `traceparent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote(pub(crate) Place);

impl Remote {
    /// Reads a `traceparent` that was kept apart from other headers, such as in a
    /// database.
    pub fn parse(traceparent: &str) -> Option<Self> {
        parse(traceparent, TraceState::NONE).map(Arc::new).map(Self)
    }

    /// The span that the thread is in, to be kept.
    pub fn current() -> Option<Self> {
        context::current().map(Self)
    }

    /// `span`, to be kept.
    pub fn of(span: &Span) -> Option<Self> {
        context::of(span).map(Self)
    }

    /// The trace that it is a part of.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id()
    }

    /// The span itself.
    pub fn span_id(&self) -> SpanId {
        self.0.span_id()
    }

    /// Whether it is exported, as far as its process knew.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (Hex::from(self.0.trace_id()), Hex::from(self.0.span_id()));
        f.write_str("00-")?;
        f.write_str(trace.as_str())?;
        f.write_str("-")?;
        f.write_str(span.as_str())?;
        f.write_str(if self.0.is_sampled() { "-01" } else { "-00" })
    }
}

/// Tells whoever gets `carrier` of the span that the thread is in.
pub fn inject(carrier: &mut impl Carrier) {
    send(context::current(), carrier);
}

/// Tells whoever gets `carrier` of `span`, which need not be entered. Its parent
/// is settled from here on.
pub fn inject_span(span: &Span, carrier: &mut impl Carrier) {
    send(context::of(span), carrier);
}

/// The span that `carrier` tells of; `None` where it tells of none, or nonsense.
pub fn extract(carrier: &impl Carrier) -> Option<Remote> {
    let parent = carrier.get(TRACEPARENT)?;
    let state = carrier.get(TRACESTATE).filter(|state| state.len() <= LONGEST_STATE);
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    parse(parent, state).map(Arc::new).map(Remote)
}

/// Makes `span` a child of `parent`, whatever it was made in.
///
/// This must come before anything that starts the span: entering it,
/// [`trace_id`], [`inject_span`].
pub fn set_parent(span: &Span, parent: &Remote) {
    let is_set = traces::set_parent(span, Arc::clone(&parent.0));
    debug_assert!(is_set, "the parent of a span is set before the span is entered");
}

/// Says that `span` has to do with `other`, without being a part of it.
pub fn link(span: &Span, other: &Remote) {
    traces::link(span, &other.0);
}

/// The trace that `span` is a part of; displays as 32 hex digits. `None` where no
/// telemetry is set up, or for a span that was not made, outside of any other.
/// The span's parent is settled from here on.
pub fn trace_id(span: &Span) -> Option<TraceId> {
    context::of(span).map(|place| place.trace_id())
}

/// A trace as the value of a header, which its caller is told.
pub fn header(trace: TraceId) -> HeaderValue {
    HeaderValue::from_str(Hex::from(trace).as_str()).expect("hex digits are a value")
}

/// The trace that the thread is in, if any.
pub fn current_trace_id() -> Option<TraceId> {
    context::look(|place| place.trace_id())
}

fn send(place: Option<Place>, carrier: &mut impl Carrier) {
    let Some(place) = place else { return };
    let state = place.trace_state().header();
    if !state.is_empty() {
        carrier.set(TRACESTATE, state);
    }
    let mut parent = String::with_capacity(LENGTH);
    // A text takes all that it is given.
    let _ = write!(parent, "{}", Remote(place));
    carrier.set(TRACEPARENT, parent);
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>, where the SDK's own
/// reader also takes ids that are too short.
fn parse(text: &str, state: TraceState) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (version, flags) = (hex(version, 2)?, hex(flags, 2)?);
    // A later version may say more behind what is read here; this one may not.
    if version == 0xff || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let trace = TraceId::from(hex(trace, 32)?);
    let span = SpanId::from(u64::try_from(hex(span, 16)?).ok()?);
    let flags = TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, state);
    context.is_valid().then_some(context)
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != digits || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}
