//! Setting it up, and ending it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::logs::{self, Format, LogLevels};
use crate::metrics::{Definition, Metrics, Push, Pushing, Total, Unit};
use crate::resource;
use crate::settings::Settings;
use crate::traces::{self, Traces};

/// How long [`Telemetry::stop`] takes at most.
const STOP: Duration = Duration::from_secs(2);

const DROPPED: Definition<Total, 1> = Total::define(
    "trellis.telemetry.dropped",
    Unit::NONE,
    "What did not get out of this process: spans, or pushes of metrics.",
    ["signal"],
);

/// The telemetry of a process. It works until [`stop`](Self::stop) is called.
#[derive(Debug)]
#[must_use = "spans that are under way are lost unless it is stopped"]
pub struct Telemetry {
    levels: LogLevels,
    traces: Traces,
    metrics: Metrics,
    pushing: Option<Pushing>,
    shows_metrics: bool,
}

/// Sets up the telemetry of this process; `service` is what it is called where
/// `OTEL_SERVICE_NAME` does not say otherwise.
///
/// Logs go to standard error, for people on a terminal and as JSON otherwise.
/// With a collector this must be called inside of a Tokio runtime, which has to
/// run until [`Telemetry::stop`] has returned. Fails if the process has a
/// subscriber already, or if a collector's address cannot be used.
pub fn start(service: &str, settings: &Settings) -> anyhow::Result<Telemetry> {
    let format = if io::stderr().is_terminal() { Format::Terminal } else { Format::Json };
    let (dispatch, telemetry) = build(service, settings, format, io::stderr)?;
    dispatch.try_init()?;
    Ok(telemetry)
}

/// As [`start`], but the subscriber is handed out instead of installed, and logs
/// go to `writer`.
pub fn build<W>(
    service: &str,
    settings: &Settings,
    format: Format,
    writer: W,
) -> anyhow::Result<(Dispatch, Telemetry)>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let levels = LogLevels::new(settings.log.clone());
    let itself = logs::Itself::default();
    let logs = logs::layer(format, writer, levels.clone(), itself.clone());
    let registry = tracing_subscriber::registry().with(logs);
    let resource = resource::of(service, settings);
    let attributes = resource::attributes(&resource);
    let (dispatch, traces) = traces::add(registry, resource, settings, &levels)?;
    itself.get_or_init(|| dispatch.downgrade());

    let metrics = Metrics::of(attributes.clone());
    let (lost, losses) = (metrics.get(&DROPPED, ["spans"]), traces.losses());
    metrics.before_reading(move || lost.set(number(losses())));
    let failed = metrics.get(&DROPPED, ["metrics"]);
    let push = |push| Push::start(metrics.clone(), push, attributes, failed);
    let pushing = settings.metrics.push.as_ref().map(push).transpose()?;
    let shows_metrics = settings.metrics.prometheus;
    Ok((dispatch, Telemetry { levels, traces, metrics, pushing, shows_metrics }))
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2⁵³")]
fn number(count: u64) -> f64 {
    count as f64
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

    /// How many finished spans of sampled traces were not exported, and never will
    /// be, because the queue was full or the collector did not take them.
    pub fn lost_spans(&self) -> u64 {
        self.traces.lost()
    }

    /// Exports what is under way, for two seconds at most whatever the collector
    /// does, and says in the log how many spans were lost.
    ///
    /// Spans that end afterwards are not exported; logs go on.
    pub async fn stop(self) {
        let pushing = async {
            if let Some(pushing) = self.pushing {
                pushing.stop(STOP).await;
            }
        };
        tokio::join!(self.traces.stop(STOP), pushing);
    }
}
