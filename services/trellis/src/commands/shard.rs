//! Which database has which buckets, and their way from one to another.

mod progress;
mod status;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use trellis_storage::shards::mover::{Mover, Tables};
use trellis_storage::{Options, PostgresUrl, Shards, Url};

use self::progress::Bar;
use super::say;
use crate::cli::{Buckets, Shard, Sharded, Which};
use crate::config::Config;
use crate::role::Role;

pub(super) async fn run(shard: Shard, config: &Config) -> anyhow::Result<ExitCode> {
    match shard {
        Shard::Status { services } => {
            for service in chosen(&services) {
                status::show(service, config).await?;
            }
        }
        Shard::Move { which, to } => return move_to(&which, to, config).await,
        Shard::Abort { which: Which { buckets: Buckets(buckets), services } } => {
            for service in chosen(&services) {
                let (shards, tables) = service.open(config).await?;
                let aborted = Mover::new(&shards, tables).abort(&buckets).await;
                let aborted = aborted.with_context(|| service.failed("could not be left"))?;
                say(&format!("{}: {aborted} buckets stay where they are", service.name()));
            }
        }
        Shard::Clean { which: Which { buckets: Buckets(buckets), services } } => {
            for service in chosen(&services) {
                let (shards, tables) = service.open(config).await?;
                let cleaned = Mover::new(&shards, tables).clean(&buckets).await;
                let cleaned = cleaned.with_context(|| service.failed("could not be deleted"))?;
                say(&format!("{}: the old copies of {cleaned} buckets are gone", service.name()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn move_to(which: &Which, to: usize, config: &Config) -> anyhow::Result<ExitCode> {
    let Which { buckets: Buckets(buckets), services } = which;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    for service in chosen(services) {
        let (shards, tables) = service.open(config).await?;
        let bar = Bar::start(service.name(), buckets.len())?;
        let van = Mover::new(&shards, tables);
        let moved = tokio::select! {
            moved = van.run(buckets, to, &bar) => moved,
            never = bar.log() => match never {},
            _ = interrupt.recv() => {
                bar.finish();
                say("stopped: the same command goes on, and `trellis shard abort` gives it up");
                return Ok(ExitCode::FAILURE);
            }
        };
        bar.finish();
        let moved = moved.with_context(|| service.failed("could not all be moved"))?;
        say(&format!(
            "{}: {} of {} buckets moved to shard {to}, {} rows copied; writers waited for {} ms at \
             most",
            service.name(),
            moved.buckets,
            buckets.len(),
            moved.rows,
            moved.longest_freeze.as_millis()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Each once and in a fixed order; both when none is named.
fn chosen(services: &[Sharded]) -> BTreeSet<Sharded> {
    let named: BTreeSet<Sharded> = services.iter().copied().collect();
    if named.is_empty() { BTreeSet::from([Sharded::User, Sharded::Order]) } else { named }
}

impl Sharded {
    fn role(self) -> Role {
        match self {
            Self::User => Role::User,
            Self::Order => Role::Order,
        }
    }

    fn name(self) -> &'static str {
        self.role().name()
    }

    fn failed(self, what: &str) -> String {
        format!("buckets of the {} service {what}", self.name())
    }

    /// The databases in the order of the list.
    fn urls(self, config: &Config) -> anyhow::Result<Vec<PostgresUrl>> {
        match config.database(self.role()) {
            Some(Url::Postgres(url)) => Ok(vec![url]),
            Some(Url::Shards(urls)) => Ok(urls),
            Some(Url::Sqlite(_)) | None => anyhow::bail!(
                "the {} service keeps its records in a file, which has no shards: give it servers \
                 with TRELLIS_{}_DATABASE, or name another service",
                self.name(),
                self.name().to_uppercase()
            ),
        }
    }

    async fn open(self, config: &Config) -> anyhow::Result<(Shards, Tables)> {
        let (urls, options) = (self.urls(config)?, Options::default());
        Ok(match self {
            Self::User => trellis_user::store::shards(&urls, &options).await?,
            Self::Order => trellis_order::store::shards(&urls, &options).await?,
        })
    }
}
