//! Pushes metrics to a collector now and then.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::otlp::{self, Attributes};
use super::{Metrics, Total, now};
use crate::settings::PushMetrics;

/// How seldom the log says again that the collector takes nothing.
const QUIET: Duration = Duration::from_mins(1);
/// What OpenTelemetry's own collector takes at once by default, in bytes.
const MAX_BATCH: usize = 4 * 1024 * 1024;
/// What an answer of the collector may weigh: it says which points it did not like.
const MAX_ANSWER: usize = 64 * 1024;

/// What pushes, until it is stopped.
#[derive(Debug)]
pub(crate) struct Pushing {
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

pub(crate) struct Push {
    metrics: Metrics,
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    resource: Attributes,
    start: SystemTime,
    timeout: Duration,
    failed: Total,
    failures: f64,
    told: Option<Instant>,
}

impl Push {
    /// What goes wrong is said in `log`. `failed` counts the pushes that did not get through; what they had is in the
    /// next one, since all numbers are totals.
    pub(crate) fn start(
        metrics: Metrics,
        settings: &PushMetrics,
        resource: Attributes,
        failed: Total,
        log: &Dispatch,
    ) -> anyhow::Result<Pushing> {
        let endpoint = Endpoint::from_shared(settings.endpoint.clone())?;
        let channel = connect(&endpoint.connect_timeout(settings.timeout));
        let client = MetricsServiceClient::new(channel)
            .max_decoding_message_size(MAX_ANSWER)
            .max_encoding_message_size(MAX_BATCH);
        let push = Self {
            metrics,
            client,
            headers: settings.headers.clone(),
            resource,
            start: now(),
            timeout: settings.timeout,
            failed,
            failures: 0.0,
            told: None,
        };
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(push.run(settings.interval, stopped).with_subscriber(log.clone()));
        Ok(Pushing { stop, task })
    }

    /// Once more at the end, so that the last seconds of a process are not lost.
    async fn run(mut self, every: Duration, mut stopped: oneshot::Receiver<()>) {
        let mut beat = interval_at(Instant::now() + every, every);
        loop {
            tokio::select! {
                _ = beat.tick() => self.push().await,
                _ = &mut stopped => return self.push().await,
            }
        }
    }

    async fn push(&mut self) {
        let message = otlp::request(self.metrics.read(), &self.resource, self.start);
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request.set_timeout(self.timeout);
        let pushed = timeout(self.timeout, self.client.export(request)).await;
        let pushed = pushed.unwrap_or_else(|_| Err(Status::deadline_exceeded("it took too long")));
        if let Err(error) = pushed {
            self.failures += 1.0;
            self.failed.set(self.failures);
            self.tell(&error);
        }
    }

    fn tell(&mut self, error: &Status) {
        if self.told.is_some_and(|told| told.elapsed() < QUIET) {
            return;
        }
        self.told = Some(Instant::now());
        tracing::warn!(error = error as &dyn std::error::Error, "metrics were not pushed");
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever pushes keeps the deadline, one at a time")]
fn connect(endpoint: &Endpoint) -> Channel {
    endpoint.connect_lazy()
}

impl Pushing {
    /// Pushes a last time, for as long as `limit`.
    pub(crate) async fn stop(self, limit: Duration) {
        let Self { stop, mut task } = self;
        // It has ended by itself only if it panicked, and then there is nothing to do.
        let _ = stop.send(());
        // What takes longer ends with the set.
        let _ = timeout(limit, task.join_next()).await;
    }
}
