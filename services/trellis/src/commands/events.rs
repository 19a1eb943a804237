//! How events get on, and the filling of a stream that was lost.

mod progress;
mod rebuild;
mod status;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use trellis_events::bus::{JetStream, Options};
use trellis_events::outbox::Outbox;
use trellis_events::relay;
use trellis_telemetry::Metrics;

use crate::cli::{Events, Teller};
use crate::config::Config;
use crate::role::Role;

pub(super) async fn run(events: Events, config: &Config) -> anyhow::Result<ExitCode> {
    match events {
        Events::Status { services } => status::run(&chosen(services), config).await,
        Events::Rebuild { services, since } => rebuild::run(&chosen(services), since, config).await,
    }
}

/// Each once and in a fixed order; all of them when none is named.
fn chosen(services: Vec<Teller>) -> Vec<Teller> {
    let named: BTreeSet<Teller> = services.into_iter().collect();
    if named.is_empty() { vec![Teller::User, Teller::Order] } else { named.into_iter().collect() }
}

impl Teller {
    fn name(self) -> &'static str {
        self.role().name()
    }

    fn role(self) -> Role {
        match self {
            Self::User => Role::User,
            Self::Order => Role::Order,
        }
    }

    /// Opens its databases; each has an outbox with a name of its own.
    async fn outboxes(
        self,
        config: &Config,
        read_only: bool,
    ) -> anyhow::Result<Vec<(&'static str, Arc<dyn Outbox>)>> {
        let database = config.database(self.role()).context("it keeps records")?;
        super::audit::check_presence(&database)?;
        let options = trellis_storage::Options { read_only, ..Default::default() };
        let outboxes = match self {
            Self::User => trellis_user::store::open(&database, &options).await?.outboxes(),
            Self::Order => trellis_order::store::open(&database, &options).await?.outboxes(),
        };
        let name = |(shard, outbox)| (relay::name(self.name(), shard), outbox);
        Ok(outboxes.into_iter().enumerate().map(name).collect())
    }
}

/// The broker, if there is one.
fn broker(config: &Config) -> Option<JetStream> {
    let url = config.nats.clone()?;
    let replicas = config.nats_replicas.get();
    let options = Options { replicas, ..Options::new(url) };
    Some(JetStream::new(options, &Metrics::default()))
}
