//! A unit of work as its caller sees it, for the metrics and for the trace: from the
//! call to the answer, with all waits.

use std::pin::Pin;

use quanta::Instant;
use tracing::{Instrument as _, Level, Span, field::Empty};

use crate::{
    answer::Outcome,
    meters::{Kind, Operations},
};

/// What is told of a unit whose caller went away before the answer.
const ABANDONED: &str = "abandoned";

/// Counted once, however it ends.
pub(crate) struct Operation<'m> {
    meters: &'m Operations,
    kind: Kind,
    began: Instant,
    span: Span,
    failure: Option<&'static str>,
}

/// The level is a constant of each place that makes a span.
macro_rules! span {
    ($level:expr, $kind:expr, $meters:expr) => {
        tracing::span!(
            $level,
            "storage",
            otel.kind = "client",
            otel.name = format_args!("{} {}", $kind.name(), $meters.namespace),
            otel.status_code = Empty,
            "db.system.name" = $meters.system,
            "db.namespace" = &*$meters.namespace,
            "db.operation.name" = $kind.name(),
            "error.type" = Empty,
        )
    };
}

impl<'m> Operation<'m> {
    pub(crate) fn begin(meters: &'m Operations, kind: Kind) -> Self {
        let span = match kind {
            // It takes as long as the span would, so only a closer look shows it.
            Kind::LookUp => span!(Level::TRACE, kind, meters),
            Kind::Read | Kind::Write => span!(Level::DEBUG, kind, meters),
        };
        Self { meters, kind, began: meters.now(), span, failure: Some(ABANDONED) }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Does the work. An error of the unit's own is no failure here, unless storage is
    /// behind it. `work` is pinned so that it need not be moved in here.
    pub(crate) async fn run<T, E>(
        mut self,
        work: Pin<&mut impl Future<Output = Outcome<T, E>>>,
    ) -> Outcome<T, E> {
        // Nothing is entered where there is no span, which a look-up would notice.
        let answer = if self.span.is_disabled() {
            work.await
        } else {
            work.instrument(self.span.clone()).await
        };
        self.failure = match &answer {
            Ok(answer) => answer.fault,
            Err(error) => Some(error.word()),
        };
        if self.failure.is_some() {
            self.span.record("otel.status_code", "ERROR");
        }
        answer
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if let Some(failure) = self.failure {
            self.span.record("error.type", failure);
        }
        self.meters.count(self.kind, self.began, self.failure);
    }
}
