//! One call out of many, by its trace: the way from a number to what it was made of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use super::now;
use crate::propagation::Remote;

/// A value with the span that it was measured in, which is in a sampled trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub value: f64,
    pub time: SystemTime,
    pub trace_id: TraceId,
    pub span_id: SpanId,
}

/// Has room for one, which is replaced by the first that comes after it was read. So
/// nearly every call finds no need and pays for one look.
#[derive(Debug, Default)]
pub(super) struct Slot {
    is_filled: AtomicBool,
    exemplar: Mutex<Option<Exemplar>>,
}

impl Slot {
    pub(super) fn offer(&self, value: f64, span: impl FnOnce() -> Option<Remote>) {
        if self.is_filled.load(Ordering::Relaxed) {
            return;
        }
        let Some(span) = span().filter(Remote::is_sampled) else { return };
        // Whoever holds it puts one in that is as good.
        if let Ok(mut exemplar) = self.exemplar.try_lock() {
            let (trace_id, span_id) = (span.trace_id(), span.span_id());
            *exemplar = Some(Exemplar { value, time: now(), trace_id, span_id });
            self.is_filled.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Option<Exemplar> {
        let exemplar = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.is_filled.store(false, Ordering::Relaxed);
        exemplar
    }
}
