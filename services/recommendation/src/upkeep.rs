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
    // The first comes at once, when the model has hardly read anything that may go.
    ticks.next().await;
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
    while !shutdown.is_requested() {
        match store.forget(learner.follower(), retention, BATCH, now).await? {
            Some(BATCH..) => {}
            // Less than a batch: of neither kind is a whole one left.
            Some(_) => break,
            None => {
                tracing::warn!("this process was taken for gone, so its model begins anew");
                return learner.begin_anew(now).await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::{Bucket, OrderId};
    use trellis_storage::Options;
    use trellis_testkit::Database;
    use uuid::Uuid;

    use super::*;
    use crate::Settings;
    use crate::domain::{Basket, Position, View};
    use crate::store::FOLLOWING;

    const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:30 UTC);
    const KEEP: Keep = Keep { baskets: 15, age: time::Duration::days(90) };

    async fn keep(store: &dyn Store, number: u32, time: OffsetDateTime) {
        let order_id = OrderId::new(time, Bucket::random());
        let sku: trellis_api::Sku = "MUG".parse().unwrap();
        let basket = Basket::new(order_id, [sku.clone()], time).unwrap();
        let event_id = |kind: u32| Uuid::from_u128((number * 2 + kind).into()).to_string();
        store.keep_basket(event_id(0), basket, time).await.unwrap();
        let view = View { sku, hour: Hour::of(time) };
        store.count_view(event_id(1), view, time).await.unwrap();
    }

    async fn keep_sixty(store: &dyn Store) {
        for number in 0..40 {
            keep(store, number, MONDAY - time::Duration::days(100 - i64::from(number))).await;
        }
        for number in 40..60 {
            keep(store, number, MONDAY).await;
        }
    }

    async fn learner(store: &Arc<dyn Store>, now: OffsetDateTime) -> Learner {
        Learner::new(Arc::clone(store), Settings::default().limits(), now).await.unwrap()
    }

    async fn assert_sound(store: &dyn Store, learner: &Learner, now: OffsetDateTime) {
        for check in crate::audit::run(store, learner, now).await.unwrap().checks {
            assert!(check.violations.is_empty(), "{check:?}");
        }
    }

    async fn left(store: &dyn Store) -> (usize, usize) {
        let left = store.changes(Position::default(), 100).await.unwrap();
        (left.baskets.len(), left.views.len())
    }

    async fn open(database: &Database) -> Arc<dyn Store> {
        crate::open(&database.url().parse().unwrap(), &Options::default()).await.unwrap()
    }

    async fn the_store_stays_small_and_the_audit_still_adds_up(store: Arc<dyn Store>) {
        keep_sixty(&*store).await;
        let learner = learner(&store, MONDAY).await;
        let stop = Shutdown::default();

        sweep(&*store, &learner, KEEP, MONDAY, &stop).await.unwrap();
        assert_eq!(left(&*store).await.0, 60, "nothing was learned yet");

        let before = crate::audit::run(&*store, &learner, MONDAY).await.unwrap();
        sweep(&*store, &learner, KEEP, MONDAY, &stop).await.unwrap();
        let after = crate::audit::run(&*store, &learner, MONDAY).await.unwrap();

        assert_eq!(left(&*store).await, (15, 1));
        assert_eq!((before.forgotten_until, after.forgotten_until), (None, Some(MONDAY)));
        for check in before.checks.iter().chain(&after.checks) {
            assert!(check.violations.is_empty(), "{check:?}");
        }
    }

    trellis_testkit::on_each_database! {
        open:
        the_store_stays_small_and_the_audit_still_adds_up,
    }

    #[tokio::test]
    async fn what_another_process_has_yet_to_learn_stays() {
        let Some(database) = Database::postgres().await else { return };
        let (store, others) = (open(&database).await, open(&database).await);
        keep_sixty(&*store).await;
        let (learner, other) = (learner(&store, MONDAY).await, learner(&others, MONDAY).await);
        let stop = Shutdown::default();
        assert_sound(&*store, &learner, MONDAY).await;

        sweep(&*store, &learner, KEEP, MONDAY, &stop).await.unwrap();
        assert_eq!(left(&*store).await.0, 60);

        assert_sound(&*others, &other, MONDAY).await;
        sweep(&*others, &other, KEEP, MONDAY, &stop).await.unwrap();
        assert_eq!(left(&*store).await, (15, 1));
        assert_sound(&*store, &learner, MONDAY).await;
        assert_sound(&*others, &other, MONDAY).await;
    }

    #[tokio::test]
    async fn a_process_that_was_taken_for_gone_learns_anew() {
        let Some(database) = Database::postgres().await else { return };
        let (store, others) = (open(&database).await, open(&database).await);
        let frozen = learner(&others, MONDAY).await;
        keep_sixty(&*store).await;
        let later = MONDAY + FOLLOWING;
        let (learner, stop) = (learner(&store, later).await, Shutdown::default());
        assert_sound(&*store, &learner, later).await;
        sweep(&*store, &learner, KEEP, later, &stop).await.unwrap();
        assert_eq!(left(&*store).await, (15, 1), "nobody waits for the dead");

        let unaware = crate::audit::run(&*others, &frozen, later).await.unwrap();
        assert_eq!(unaware.checks[2].violations.len(), 1);
        sweep(&*others, &frozen, KEEP, later, &stop).await.unwrap();

        assert_sound(&*others, &frozen, later).await;
        assert_sound(&*store, &learner, later).await;
    }
}
