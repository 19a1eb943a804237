//! A process with telemetry of its own, on the thread of the test.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;
use serde_json::Value;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::fmt::MakeWriter;
use trellis_telemetry::receiver::{Received, Receiver};
use trellis_telemetry::{Export, Format, Settings, Telemetry, build};

/// Longer than anything here may take; nothing waits for it but a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Process {
    pub(crate) telemetry: Telemetry,
    pub(crate) log: Log,
    dispatch: Dispatch,
}

impl Process {
    pub(crate) fn new(service: &str, settings: &Settings) -> Self {
        Self::with_format(service, settings, Format::Json)
    }

    pub(crate) fn with_format(service: &str, settings: &Settings, format: Format) -> Self {
        let log = Log::default();
        let (dispatch, telemetry) =
            build(service, settings, format, log.clone()).expect("telemetry");
        Self { telemetry, log, dispatch }
    }

    /// One that exports all that is sampled by `sampler`.
    pub(crate) fn sampling(service: &str, receiver: &Receiver, sampler: Sampler) -> Self {
        let export = Export { sampler, ..Export::to(receiver.endpoint()) };
        Self::new(service, &exporting(export))
    }

    /// One that exports all that is not unsampled by its caller.
    pub(crate) fn exporting(service: &str, receiver: &Receiver) -> Self {
        Self::new(service, &exporting(Export::to(receiver.endpoint())))
    }

    /// Runs `body` in this process.
    pub(crate) fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, body)
    }

    /// Ends the process in good order; what it logs then is logged.
    pub(crate) async fn stop(self) -> Log {
        let stop = self.telemetry.stop();
        let stop = tracing::instrument::WithSubscriber::with_subscriber(stop, self.dispatch);
        tokio::time::timeout(PATIENCE, stop).await.expect("telemetry stops");
        self.log
    }
}

pub(crate) fn exporting(export: Export) -> Settings {
    Settings { export: Some(export), ..Settings::default() }
}

pub(crate) fn all() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOn))
}

pub(crate) fn none() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOff))
}

/// The one span of this name.
pub(crate) fn named<'a>(spans: &'a [Received], name: &str) -> &'a Received {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span `{name}` in {spans:#?}"));
    assert_eq!(found.next(), None, "more than one span `{name}`");
    span
}

/// What a process has logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        let log = self.0.lock().expect("the log is whole").clone();
        String::from_utf8(log).expect("the log is text")
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The one line that says `message`.
    pub(crate) fn line(&self, message: &str) -> Value {
        let mut lines = self.lines().into_iter().filter(|line| line["message"] == message);
        let line = lines.next().unwrap_or_else(|| panic!("no `{message}` in {}", self.text()));
        assert_eq!(lines.next(), None, "more than one line `{message}`");
        line
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log is whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
