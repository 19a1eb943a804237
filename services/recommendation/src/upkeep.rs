//! Deletes what is too old to teach anything, in small units of work.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;

use crate::domain::Hour;
use crate::follow::Learner;
use crate::store::{Retention, Store};

const EVERY: Duration = Duration::from_mins(1);
/// How much one unit of work deletes of a kind, so that no other waits long.
const BATCH: u32 = 1_000;

/// Which baskets are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// So many of the newest.
    pub(crate) baskets: i64,
    /// None that is older.
    pub(crate) age: time::Duration,
}

pub(crate) async fn run(
    store: Arc<dyn Store>,
    learner: Arc<Learner>,
    keep: Keep,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut ticks = shutdown.ticks(EVERY);
    while ticks.next().await {
        // A store that is down comes back, or its other callers say so.
        if let Err(error) = sweep(&*store, &learner, keep, clock.now(), &shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "nothing old was deleted");
        }
    }
    Ok(())
}

async fn sweep(
    store: &dyn Store,
    learner: &Learner,
    keep: Keep,
    now: OffsetDateTime,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let retention = Retention {
        baskets: keep.baskets,
        baskets_since: now - keep.age,
        views_since: Hour::of(now).oldest_kept().start(),
        learned: learner.progress().position,
    };
    // Less than a batch: of neither kind is a whole one left.
    while !shutdown.is_requested() && BATCH <= store.forget(retention, BATCH).await? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::{Bucket, OrderId};
    use trellis_storage::Options;

    use super::*;
    use crate::Settings;
    use crate::domain::{Basket, View};

    const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:30 UTC);

    async fn keep(store: &dyn Store, number: u32, time: OffsetDateTime) {
        let order_id = OrderId::new(time, Bucket::random());
        let sku: trellis_api::Sku = "MUG".parse().unwrap();
        let basket = Basket::new(order_id, [sku.clone()], time).unwrap();
        store.keep_basket(format!("basket-{number}"), basket, time).await.unwrap();
        let view = View { sku, hour: Hour::of(time) };
        store.count_view(format!("view-{number}"), view, time).await.unwrap();
    }

    #[tokio::test]
    async fn the_store_stays_small_and_the_audit_still_adds_up() {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("recommendation.db").display());
        let store = crate::open(&database.parse().unwrap(), &Options::default()).await.unwrap();
        for number in 0..40 {
            keep(&*store, number, MONDAY - time::Duration::days(100 - i64::from(number))).await;
        }
        for number in 40..60 {
            keep(&*store, number, MONDAY).await;
        }
        let learner = Learner::new(Arc::clone(&store), Settings::default().limits()).await.unwrap();
        let limit = Keep { baskets: 15, age: time::Duration::days(90) };
        let stop = Shutdown::default();

        sweep(&*store, &learner, limit, MONDAY, &stop).await.unwrap();
        assert_eq!(store.forgotten().await.unwrap().baskets, 0, "nothing was learned yet");

        let before = crate::audit::run(&*store, &learner, MONDAY).await.unwrap();
        sweep(&*store, &learner, limit, MONDAY, &stop).await.unwrap();
        let after = crate::audit::run(&*store, &learner, MONDAY).await.unwrap();

        let left = store.changes(crate::domain::Position::default(), 100).await.unwrap();
        assert_eq!((left.baskets.len(), left.views.len()), (15, 1));
        assert_eq!((before.forgotten_until, after.forgotten_until), (None, Some(MONDAY)));
        for check in before.checks.iter().chain(&after.checks) {
            assert!(check.violations.is_empty(), "{check:?}");
        }
    }
}
