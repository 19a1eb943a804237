//! Traces: from the spans of this process to a collector.

mod export;
mod fields;
mod filter;
mod otlp;
mod queue;
mod recording;
mod sampling;
mod spans;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use self::export::Exporter;
pub(crate) use self::filter::Recorded;
use self::otlp::Envelope;
use self::queue::Queue;
pub(crate) use self::sampling::Decision;
use self::spans::Spans;
pub(crate) use self::spans::{begin, link, place, set_parent};
use crate::context;
use crate::gate::Gate;
use crate::logs::LogLevels;
use crate::settings::Settings;
use crate::tally::Tally;

/// The way of spans out of this process, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Traces(Option<Exporting>);

#[derive(Debug)]
struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
    tally: Arc<Tally>,
}

/// Notes an event on the span that the thread is in, such as a call that a breaker
/// refused. It is not logged, and costs next to nothing if the span is not
/// sampled. Attributes reach the collector if they are
/// [allowed](crate::attributes::ALLOWED).
pub fn event(
    name: impl Into<Cow<'static, str>>,
    attributes: impl IntoIterator<Item = (&'static str, opentelemetry::Value)>,
) {
    if context::look(|place| place.is_sampled()).unwrap_or(false) {
        spans::event(&name.into(), attributes);
    }
}

/// Adds traces to `subscriber`, which they complete; `logs` is what it logs.
pub(crate) fn add<S>(
    subscriber: S,
    resource: &Resource,
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
    let layer = |queue| Spans { recorded: recorded.clone(), queue }.with_filter(recorded.clone());
    let Some(export) = &settings.export else {
        return Ok((subscriber.with(layer(None)).with(gate).into(), Traces(None)));
    };
    let runtime = Handle::try_current()?;
    let tally = Arc::new(Tally::new("spans", export.queue));
    let queue = Arc::new(Queue::new(Arc::clone(&tally), export.batch));
    let exporter = Exporter::new(
        export.clone(),
        Envelope::new(resource),
        Arc::clone(&queue),
        Arc::clone(&tally),
    )?;
    let dispatch = Dispatch::from(subscriber.with(layer(Some(queue))).with(gate));
    let (stop, stopped) = oneshot::channel();
    let mut task = JoinSet::new();
    task.spawn_on(exporter.run(stopped).with_subscriber(dispatch.clone()), &runtime);
    Ok((dispatch, Traces(Some(Exporting { stop, task, tally }))))
}

impl Traces {
    pub(crate) fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |exporting| exporting.tally.lost())
    }

    /// Says how many are lost whenever it is asked.
    pub(crate) fn losses(&self) -> impl Fn() -> u64 + Send + 'static {
        let tally = self.0.as_ref().map(|exporting| Arc::clone(&exporting.tally));
        move || tally.as_ref().map_or(0, |tally| tally.lost())
    }

    /// Exports what waits, and gives up at `limit`.
    pub(crate) async fn stop(self, limit: Duration) {
        let Some(Exporting { stop, mut task, tally }) = self.0 else { return };
        // It has ended by itself only if it panicked, and then there is nothing to do.
        let _ = stop.send(());
        // How it ended is told by what was exported. What takes longer ends here.
        let _ = timeout(limit, task.join_next()).await;
        drop(task);
        tally.close();
    }
}
