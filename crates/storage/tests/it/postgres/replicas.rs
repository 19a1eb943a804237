//! A primary with replicas: who is read from, and who is written to when it is gone.

mod failover;
mod fresh;

use trellis_consistency::{Tokens, context};
use trellis_storage::{Error, Freshness, Options, Postgres, Tx};
use trellis_telemetry::Metrics;
use trellis_testkit::Postgres as Server;

use super::open;

/// A primary and its replica, with a handle on a database of theirs that both have.
struct Cluster {
    primary: Server,
    replica: Server,
    database: Postgres,
    metrics: Metrics,
    url: String,
}

impl Cluster {
    /// `None` where there is no Postgres.
    async fn start() -> Option<Self> {
        let primary = Server::start().await?;
        let replica = primary.replica().await;
        let one = primary.database().await;
        // In an order that says nothing.
        let url = replica.together(&[&primary], &one);
        // So that the replica knows the database when it is first asked.
        replica.catch_up(&primary).await;
        let metrics = Metrics::default();
        let options = Options { metrics: metrics.clone(), ..Options::default() };
        let database = open(&url, &options).await.unwrap();
        replica.catch_up(&primary).await;
        Some(Self { primary, replica, database, metrics, url })
    }

    /// How many notes there are, as a read sees it.
    async fn count(&self, freshness: Freshness) -> Result<i64, Error> {
        self.database.look_up_at(freshness, count).await
    }

    /// The sum of the series of a name that have these labels, rounded down.
    fn value(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.metrics.text();
        let start = format!("{name}{{");
        let series = text.lines().filter(|line| line.starts_with(&start));
        let series = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        let whole = |line: &str| line.rsplit(' ').next()?.split('.').next()?.parse::<u64>().ok();
        series.map(|line| whole(line).unwrap()).sum()
    }

    fn reads(&self, target: &str) -> u64 {
        self.value("trellis_storage_reads_total", &[&format!("target=\"{target}\"")])
    }

    /// Waits until a series has a value, with the patience of a test.
    async fn until(&self, name: &str, labels: &[&str], value: u64) {
        let reached = async {
            while self.value(name, labels) != value {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), reached).await;
        assert!(waited.is_ok(), "{name} {labels:?} is not {value} in\n{}", self.metrics.text());
    }
}

async fn count(mut tx: Tx) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *tx).await?)
}

/// Whether a read was answered by a replica.
async fn is_replica(mut tx: Tx) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *tx).await?)
}

/// Does `work` as a call of somebody who has seen `tokens`.
async fn call<F: Future>(tokens: &mut Tokens, work: F) -> F::Output {
    let (output, after) = context::scope(tokens.clone(), work).await;
    *tokens = after;
    output
}
