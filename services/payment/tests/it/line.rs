//! The line to a processor, as an operator sees it, with a clock of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use trellis_chassis::SystemClock;
use trellis_payment::processor::{self, Calls};
use trellis_payment::{Processor, ProcessorKind, Settings};
use trellis_resilience::Environment;
use trellis_resilience::clock::Manual;
use trellis_resilience::exec::Operation;
use trellis_resilience::registry::Registry;
use trellis_storage::Options;

use crate::server::PaymentIntents;

pub(crate) struct Line {
    pub(crate) registry: Registry,
    /// What breakers and waits go by; the time that calls take passes by itself.
    pub(crate) clock: Arc<Manual>,
}

impl Default for Line {
    fn default() -> Self {
        let clock = Arc::new(Manual::new());
        let environment = Environment { clock: clock.clone(), ..Environment::tokio() };
        Self { registry: Registry::new(environment), clock }
    }
}

impl Line {
    /// The processor at `server`, for the holder of `key`.
    pub(crate) fn to(&self, server: &PaymentIntents, key: &str) -> Arc<dyn Processor> {
        let settings = Settings {
            processor: ProcessorKind::Http,
            processor_url: format!("http://{}", server.address),
            processor_key: key.into(),
            ..Settings::default()
        };
        self.open(&settings, Path::new("unused")).unwrap()
    }

    pub(crate) fn open(
        &self,
        settings: &Settings,
        sandbox: &Path,
    ) -> anyhow::Result<Arc<dyn Processor>> {
        let clock = Arc::new(SystemClock);
        processor::open(settings, sandbox, &Options::default(), clock, calls(), &self.registry)
    }

    /// Another processor.
    pub(crate) fn over(&self, processor: impl Processor) -> Arc<dyn Processor> {
        processor::guard(processor, calls(), &self.registry).unwrap()
    }

    /// What operators see of the breaker of an operation.
    pub(crate) fn breaker(&self, operation: &str) -> serde_json::Value {
        let name = format!("payment.processor.{operation}");
        self.registry.snapshot()["executors"][&name]["breaker"].clone()
    }
}

/// Each call is made once, and takes a second at the most.
fn calls() -> Calls {
    let once = |name| Operation::with_key(name).timeout(Duration::from_secs(1)).attempts(1);
    Calls {
        authorize: once("authorize"),
        capture: once("capture"),
        void: once("void"),
        refund: once("refund"),
        find: once("find"),
        tally: Operation::safe("tally").attempts(1),
    }
}
