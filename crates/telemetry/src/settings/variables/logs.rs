//! Whether a collector gets the log, and how.

use anyhow::Context as _;

use super::Variables;
use crate::settings::ExportLogs;

impl Variables<'_> {
    pub(super) fn logs(&self) -> anyhow::Result<Option<ExportLogs>> {
        // Read in full before it is looked whether they are of use, as for traces.
        let disabled = self.parse::<bool>("OTEL_SDK_DISABLED")?.unwrap_or(false);
        let exporter = self.one_of("OTEL_LOGS_EXPORTER", &["otlp", "none"])?;
        self.one_of("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", &["grpc"])?;
        let default = ExportLogs::to("");
        let queue = self.number("OTEL_BLRP_MAX_QUEUE_SIZE", 1..=65_536)?.unwrap_or(default.queue);
        let batch = self.number("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 1..=queue)?;
        let settings = ExportLogs {
            timeout: self
                .millis(&["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"])?
                .unwrap_or(default.timeout),
            give_up: self.millis(&["OTEL_BLRP_EXPORT_TIMEOUT"])?.unwrap_or(default.give_up),
            delay: self.millis(&["OTEL_BLRP_SCHEDULE_DELAY"])?.unwrap_or(default.delay),
            batch: batch.unwrap_or(default.batch.min(queue)),
            endpoint: String::new(),
            queue,
        };
        let endpoint = self.endpoint("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")?;
        if exporter.as_deref() != Some("otlp") {
            return Ok(None);
        }
        let endpoint = endpoint.context(
            "OTEL_LOGS_EXPORTER is otlp, but OTEL_EXPORTER_OTLP_ENDPOINT does not say where to",
        )?;
        Ok((!disabled).then_some(ExportLogs { endpoint, ..settings }))
    }
}
