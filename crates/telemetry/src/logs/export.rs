//! The way of log records out of this process.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLoggerProvider,
};
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, Registry};

use super::record::{Own, Records};
use super::{Itself, LogLevels};
use crate::ending;
use crate::settings::ExportLogs;
use crate::tally::Tally;

/// The way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Exported(Option<(SdkLoggerProvider, Arc<Tally>)>);

/// Makes it, and what takes it for what `levels` let through.
pub(crate) fn start(
    export: &ExportLogs,
    resource: Resource,
    levels: LogLevels,
    itself: Itself,
) -> anyhow::Result<(Box<dyn Layer<Registry> + Send + Sync>, Exported)> {
    let runtime = Handle::try_current()?;
    let otlp = opentelemetry_otlp::LogExporter::builder()
        .with_tonic()
        .with_endpoint(&export.endpoint)
        .with_timeout(export.timeout)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(export.queue)
        .with_max_export_batch_size(export.batch)
        .with_scheduled_delay(export.delay)
        .build();
    let tally = Arc::new(Tally::new("log records", export.queue));
    let limited = Limited { next: otlp, tally: tally.clone(), runtime, limit: export.give_up };
    let processor = BatchLogProcessor::builder(limited).with_batch_config(batches).build();
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(Bounded { next: processor, tally: tally.clone() })
        .build();
    let records = Records::new(provider.logger("trellis"), itself);
    let layer = records.with_filter(Own(levels)).boxed();
    Ok((layer, Exported(Some((provider, tally)))))
}

impl Exported {
    pub(crate) fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |(_, tally)| tally.lost())
    }

    /// Says how many are lost whenever it is asked.
    pub(crate) fn losses(&self) -> impl Fn() -> u64 + Send + 'static {
        let tally = self.0.as_ref().map(|(_, tally)| tally.clone());
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

/// Lets records into the queue while there is room, and counts the others.
///
/// The queue behind has a bound too, but does not say how much it dropped.
#[derive(Debug)]
struct Bounded<P> {
    next: P,
    tally: Arc<Tally>,
}

impl<P: LogProcessor> LogProcessor for Bounded<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.tally.admit() {
            self.next.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Exports for a limited time, and counts. Runs on the thread of the queue.
#[derive(Debug)]
struct Limited<E> {
    next: E,
    tally: Arc<Tally>,
    /// Whose timers are used.
    runtime: Handle,
    /// How long a batch may take.
    limit: Duration,
}

impl<E: LogExporter> LogExporter for Limited<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        self.tally.took(count);
        let export = {
            let _timers = self.runtime.enter();
            tokio::time::timeout(self.limit, self.next.export(batch))
        };
        let outcome = match export.await {
            Ok(outcome) => outcome,
            Err(_) => Err(OTelSdkError::Timeout(self.limit)),
        };
        self.tally.sent(count as u64, outcome.as_ref().err().map(|error| error as _));
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
