//! Setting it up, and ending it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Dispatch;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::logs::{self, Exported, Format, Lines, LogLevels};
use crate::metrics::{Definition, Metrics, Push, Pushing, Total, Unit};
use crate::resource;
use crate::settings::Settings;
use crate::traces::{self, Traces};

/// How long [`Telemetry::stop`] takes at most.
const STOP: Duration = Duration::from_secs(2);

const DROPPED: Definition<Total, 1> = Total::define(
    "trellis.telemetry.dropped",
    Unit::NONE,
    "What did not get out of this process: spans, lines of the log, log records, or pushes of metrics.",
    ["signal"],
);

/// How much of it is kept for the log, which tells what became of the traces.
const LAST_LINES: Duration = Duration::from_millis(250);

/// The telemetry of a process. It works until [`stop`](Self::stop) is called.
///
/// If it is dropped instead, as when the process panics, what was logged is still
/// written, for two seconds at most; spans that are under way are lost.
#[derive(Debug)]
#[must_use = "spans that are under way are lost unless it is stopped"]
pub struct Telemetry {
    levels: LogLevels,
    traces: Traces,
    lines: Lines,
    records: Exported,
    metrics: Metrics,
    pushing: Option<Pushing>,
    shows_metrics: bool,
}

/// Sets up the telemetry of this process; `service` is what it is called where
/// `OTEL_SERVICE_NAME` does not say otherwise.
///
/// Logs go to standard error, for people on a terminal and as JSON otherwise, by way
/// of a queue: see [`build_queued`]. With a collector this must be called inside of a
/// Tokio runtime, which has to run until [`Telemetry::stop`] has returned. Fails if
/// the process has a subscriber already, or if a collector's address cannot be used.
pub fn start(service: &str, settings: &Settings) -> anyhow::Result<Telemetry> {
    let format = if io::stderr().is_terminal() { Format::Terminal } else { Format::Json };
    let (dispatch, telemetry) = build_queued(service, settings, format, io::stderr())?;
    dispatch.try_init()?;
    Ok(telemetry)
}

/// As [`start`], but the subscriber is handed out instead of installed, and logs go
/// to `sink`, which must not keep back what it was given.
///
/// A line is put into a queue, and a thread of its own writes what has gathered
/// there: at once on a terminal, and else ten milliseconds after the lines before it. At
/// most 1 MiB and 16,384 lines wait, and as much is being written; what
/// finds no room is lost, as is what the sink does not take. Whoever logs never waits
/// for the sink. The log tells how many lines were lost as soon as it can.
pub fn build_queued<W>(
    service: &str,
    settings: &Settings,
    format: Format,
    sink: W,
) -> anyhow::Result<(Dispatch, Telemetry)>
where
    W: io::Write + Send + 'static,
{
    let itself = logs::Itself::default();
    let (entrance, lines) = Lines::start(format, sink, itself.clone(), STOP)?;
    assemble(service, settings, format, entrance, &itself, lines)
}

/// As [`build_queued`], but whoever logs writes to `writer` itself, and waits for it.
pub fn build<W>(
    service: &str,
    settings: &Settings,
    format: Format,
    writer: W,
) -> anyhow::Result<(Dispatch, Telemetry)>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    assemble(service, settings, format, writer, &logs::Itself::default(), Lines::none())
}

fn assemble<W>(
    service: &str,
    settings: &Settings,
    format: Format,
    writer: W,
    itself: &logs::Itself,
    lines: Lines,
) -> anyhow::Result<(Dispatch, Telemetry)>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = LogLevels::new(settings.log.clone());
    let logs = logs::layer(format, writer, levels.clone(), itself.clone());
    let resource = resource::of(service, settings);
    let (logs, records) = match &settings.logs {
        Some(export) => {
            let (layer, records) =
                logs::export(export, resource.clone(), levels.clone(), itself.clone())?;
            (logs.and_then(layer).boxed(), records)
        }
        None => (logs, Exported::default()),
    };
    let registry = tracing_subscriber::registry().with(logs);
    let attributes = resource::attributes(&resource);
    let (dispatch, traces) = traces::add(registry, &resource, settings, &levels)?;
    itself.get_or_init(|| dispatch.downgrade());

    let metrics = Metrics::of(resource::shown(&attributes));
    show_losses(&metrics, "spans", traces.losses());
    show_losses(&metrics, "logs", lines.losses());
    show_losses(&metrics, "log_records", records.losses());
    let failed = metrics.get(&DROPPED, ["metrics"]);
    let push = |push| Push::start(metrics.clone(), push, attributes, failed, &dispatch);
    let pushing = settings.metrics.push.as_ref().map(push).transpose()?;
    let shows_metrics = settings.metrics.prometheus;
    Ok((dispatch, Telemetry { levels, traces, lines, records, metrics, pushing, shows_metrics }))
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2⁵³")]
fn show_losses(metrics: &Metrics, signal: &str, losses: impl Fn() -> u64 + Send + 'static) {
    let dropped = metrics.get(&DROPPED, [signal]);
    metrics.before_reading(move || dropped.set(losses() as f64));
}

impl Telemetry {
    /// What is logged, to be looked at and changed while the process runs.
    pub fn levels(&self) -> LogLevels {
        self.levels.clone()
    }

    /// What this process counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether they are shown as `/metrics` on the admin port.
    pub fn shows_metrics(&self) -> bool {
        self.shows_metrics
    }

    /// From here on every panic of this process is an error in the log, whoever catches
    /// it, instead of a text on standard error, which may block.
    pub fn log_panics(&self) {
        logs::log_panics(self.levels());
    }

    /// How many finished spans of sampled traces were not exported, and never will
    /// be, because the queue was full or the collector did not take them.
    pub fn lost_spans(&self) -> u64 {
        self.traces.lost()
    }

    /// How many lines of the log were not written, and never will be, because the
    /// queue was full or there was an error.
    pub fn lost_lines(&self) -> u64 {
        self.lines.lost()
    }

    /// How many log records were not exported, and never will be, because the queue was
    /// full or the collector did not take them. Their lines are written all the same.
    pub fn lost_records(&self) -> u64 {
        self.records.lost()
    }

    /// Exports and writes what is under way, for two seconds at most whatever the
    /// collector and the reader of the log do, and says in the log how many spans
    /// and log
    /// records were lost.
    ///
    /// Spans that end afterwards are not exported; logs go on.
    pub async fn stop(self) {
        let Self { traces, lines, records, pushing, .. } = self;
        let end = Instant::now() + STOP;
        let limit = STOP.saturating_sub(LAST_LINES);
        let pushing = async {
            if let Some(pushing) = pushing {
                pushing.stop(limit).await;
            }
        };
        tokio::join!(traces.stop(limit), records.stop(limit), pushing);
        lines.stop(end.saturating_duration_since(Instant::now())).await;
    }
}
