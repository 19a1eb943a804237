//! The id that follows a request through every service, in W3C's `traceparent`.
//!
//! It is taken from the caller or made here, written into the logs, handed on to
//! peers, and given back to the caller as `trace-id`. Spans that are exported, and
//! traces through events, are not here.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

tokio::task_local! {
    static CURRENT: Trace;
}

/// A trace, as far as one process has to know it. Displays as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    flags: u8,
}

/// The trace of the call that is being served; `None` outside of a call and in
/// spawned tasks.
pub fn current() -> Option<Trace> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// Tells a peer of the trace of the call that is being served, if there is one.
pub(crate) fn inject(headers: &mut HeaderMap) {
    if let Some(trace) = current() {
        trace.send(headers);
    }
}

/// Runs `call` as a part of `trace`.
pub(crate) async fn scope<F: Future>(trace: Trace, call: F) -> F::Output {
    CURRENT.scope(trace, call).await
}

impl Trace {
    /// The caller's trace, or a new one where the caller has none that makes sense.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(Self::parse)
            .unwrap_or_else(|| Self { id: rand::random::<u128>().max(1), flags: 1 })
    }

    /// Tells a peer.
    pub(crate) fn send(self, headers: &mut HeaderMap) {
        let span = rand::random::<u64>().max(1);
        headers.insert(TRACEPARENT, value(&format!("00-{self}-{span:016x}-{:02x}", self.flags)));
    }

    /// Tells the caller.
    pub(crate) fn answer(self, headers: &mut HeaderMap) {
        headers.insert(TRACE_ID, value(&self.to_string()));
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, id, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (version, flags) = (hex(version, 2)?, hex(flags, 2)?);
        // A later version may say more behind what is read here; this one may not.
        if version == 0xff || (version == 0 && parts.next().is_some()) || hex(span, 16)? == 0 {
            return None;
        }
        let id = hex(id, 32).filter(|id| *id != 0)?;
        Some(Self { id, flags: u8::try_from(flags).ok()? })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != digits || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("hex digits and dashes are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_specifications_example_is_read() {
        let trace = Trace::parse(EXAMPLE).unwrap();

        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.flags, 1);
    }

    #[test]
    fn a_trace_survives_the_way_to_a_peer() {
        let trace = Trace::parse(EXAMPLE).unwrap();
        let mut headers = HeaderMap::new();

        trace.send(&mut headers);

        assert_eq!(Trace::of(&headers), trace);
    }

    #[test]
    fn nonsense_is_not_a_trace() {
        let nothing = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = EXAMPLE.to_uppercase();
        let longer = format!("{EXAMPLE}-00");
        for text in ["", "00", "ff-1-2-3", nothing, &upper, &longer] {
            assert_eq!(Trace::parse(text), None, "{text}");
        }
    }
}
