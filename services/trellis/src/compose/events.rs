//! How events get from those who tell them to those who hear them.

use std::sync::Arc;

use trellis_chassis::Shutdown;
use trellis_events::bus::{Bus, Direct, JetStream, Options, Subscriber};
use trellis_telemetry::Metrics;

use crate::config::Config;
use crate::role::{Role, Roles};

/// The services that hear events, and what their listening is called.
const HEARERS: [(Role, &str); 2] =
    [(Role::Order, "events.order"), (Role::Recommendation, "events.recommendation")];

/// What carries the events of this process.
pub(super) struct Carrier {
    /// Whoever tells calls whoever hears.
    direct: Direct,
    /// The broker between them, if there is one.
    broker: Option<JetStream>,
}

impl Carrier {
    pub(super) fn new(config: &Config, metrics: &Metrics) -> Self {
        let broker = config.nats.as_ref().map(|url| {
            let replicas = config.nats_replicas.get();
            JetStream::new(Options { replicas, ..Options::new(url.clone()) }, metrics)
        });
        Self { direct: Direct::default(), broker }
    }

    /// The bus of the service of `role`.
    ///
    /// The gateway's views are many and may be lost, and so are no burden for a broker,
    /// which would keep each of them for a week.
    pub(super) fn bus(&self, role: Role) -> Arc<dyn Bus> {
        match &self.broker {
            Some(broker) if role != Role::Gateway => Arc::new(broker.publisher(role.name())),
            _ => Arc::new(self.direct.clone()),
        }
    }

    /// Connects those who hear, once all services of this process have started.
    ///
    /// Whoever tells directly has to reach all of them; with a broker, each hears where it
    /// runs.
    pub(super) fn connect(
        self,
        roles: &Roles,
        subscriber: impl Fn(Role) -> anyhow::Result<Subscriber>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        if roles.iter().any(|role| self.tells_directly(role)) {
            let subscribers = HEARERS.into_iter().map(|(role, _)| subscriber(role));
            self.direct.connect(subscribers.collect::<anyhow::Result<_>>()?);
        }
        if let Some(broker) = self.broker {
            for (role, task) in HEARERS.into_iter().filter(|(role, _)| roles.has(*role)) {
                let consume = broker.clone().consume(subscriber(role)?, shutdown.clone());
                shutdown.spawn(task, consume);
            }
        }
        Ok(())
    }

    fn tells_directly(&self, role: Role) -> bool {
        match role {
            Role::Gateway => true,
            Role::User | Role::Order => self.broker.is_none(),
            Role::Inventory | Role::Payment | Role::Recommendation => false,
        }
    }
}
