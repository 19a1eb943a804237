//! Traces: from the spans of this process to a collector.

mod export;
mod filter;
mod ids;
mod sampling;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt as _, Tracer, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use self::export::{Bounded, Listed};
pub(crate) use self::filter::Recorded;
pub(crate) use self::sampling::{Decision, begin};
use crate::ending;
use crate::gate::Gate;
use crate::logs::LogLevels;
use crate::settings::{Export, Settings};
use crate::tally::Tally;

/// The way of spans out of this process, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Traces(Option<(SdkTracerProvider, Arc<Tally>)>);

/// Notes an event on the span that the thread is in, such as a call that a breaker
/// refused. It is not logged, and costs next to nothing if the span is not
/// sampled. Attributes reach the collector if they are
/// [allowed](crate::attributes::ALLOWED).
pub fn event(
    name: impl Into<Cow<'static, str>>,
    attributes: impl IntoIterator<Item = (&'static str, opentelemetry::Value)>,
) {
    Context::map_current(|context| {
        let span = context.span();
        if span.span_context().is_sampled() {
            let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
            span.add_event(name, attributes.collect());
        }
    });
}

/// Adds traces to `subscriber`, which they complete; `logs` is what it logs.
pub(crate) fn add<S>(
    subscriber: S,
    resource: Resource,
    settings: &Settings,
    logs: &LogLevels,
) -> anyhow::Result<(Dispatch, Traces)>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let sampler = settings.export.as_ref().map(|export| export.sampler.clone());
    let level = if sampler.is_some() { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let spans = settings.spans.clone().unwrap_or_else(|| Targets::new().with_default(level));
    let recorded = Recorded::new(spans, sampler);
    let gate = Gate::new(logs.clone(), recorded.clone());
    let Some(export) = &settings.export else {
        let ids = layer(ids::Tracer).with_filter(recorded);
        return Ok((subscriber.with(ids).with(gate).into(), Traces(None)));
    };
    let tally = Arc::new(Tally::new("spans", export.queue));
    let provider = provider(resource, export, &tally)?;
    let tracer: SdkTracer = provider.tracer("trellis");
    let dispatch = subscriber.with(layer(tracer).with_filter(recorded)).with(gate).into();
    Ok((dispatch, Traces(Some((provider, tally)))))
}

/// Only what a span says itself is recorded: where it is in the code, which
/// threads it ran on and for how long would be most of its cost.
fn layer<S, T>(tracer: T) -> tracing_opentelemetry::OpenTelemetryLayer<S, T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    T: Tracer<Span: Send + Sync> + 'static,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_error_events_to_status(false)
        .with_error_events_to_exceptions(false)
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
}

fn provider(
    resource: Resource,
    export: &Export,
    tally: &Arc<Tally>,
) -> anyhow::Result<SdkTracerProvider> {
    let runtime = tokio::runtime::Handle::try_current()?;
    let otlp = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&export.endpoint)
        .with_timeout(export.timeout)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(export.queue)
        .with_max_export_batch_size(export.batch)
        .with_scheduled_delay(export.delay)
        .build();
    let listed = Listed::new(otlp, tally.clone(), runtime, export.give_up);
    let processor = BatchSpanProcessor::builder(listed).with_batch_config(batches).build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(export.sampler.clone())
        .with_id_generator(sampling::Ids::default())
        .with_span_processor(Bounded::new(processor, tally.clone()))
        .build())
}

impl Traces {
    pub(crate) fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |(_, tally)| tally.lost())
    }

    /// Says how many are lost whenever it is asked.
    pub(crate) fn losses(&self) -> impl Fn() -> u64 + Send + 'static {
        let tally = self.0.as_ref().map(|(_, tally)| Arc::clone(tally));
        move || tally.as_ref().map_or(0, |tally| tally.lost())
    }

    /// Exports what waits, and gives up at `limit`.
    pub(crate) async fn stop(self, limit: Duration) {
        let Some((provider, tally)) = self.0 else { return };
        // How it ended is told by what was exported.
        ending::within(limit, move || drop(provider.shutdown_with_timeout(limit))).await;
        tally.close();
    }
}
