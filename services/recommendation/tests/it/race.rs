//! Several processes that write and follow at once. A SQLite file has one process only,
//! so this is about Postgres.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt as _};
use futures::{FutureExt as _, join};
use sqlx::{Connection as _, PgConnection};
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::id::{Bucket, OrderId};
use trellis_chassis::ManualClock;
use trellis_recommendation::Store;
use trellis_recommendation::domain::{Basket, Hour, Position, View};
use trellis_recommendation::store::Changes;
use trellis_storage::{Error, Faults};
use trellis_testkit::Database;

use crate::kit::{MONDAY, Service, confirmed, event_id, open};

/// Has the commits of what is about `HELD` wait at a gate.
const GATE: &str = "
    CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql
    SET lock_timeout = '1min' AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(1);
        RETURN NULL;
    END
    $$;

    CREATE CONSTRAINT TRIGGER baskets_wait AFTER INSERT ON baskets
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ('HELD' = ANY (NEW.skus))
        EXECUTE FUNCTION wait_at_the_gate();

    CREATE CONSTRAINT TRIGGER views_wait AFTER INSERT ON product_views
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.sku = 'HELD')
        EXECUTE FUNCTION wait_at_the_gate();
";

/// What the gate is called among the locks.
const AT_THE_GATE: i64 = 1;
/// What writers share, and what a reader takes alone.
const LEARNING: i64 = i64::from_be_bytes(*b"learning");

/// A lock that somebody holds.
struct Held {
    key: i64,
    connection: PgConnection,
}

impl Held {
    async fn new(database: &Database, key: i64) -> Self {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(key);
        lock.execute(&mut connection).await.unwrap();
        Self { key, connection }
    }

    async fn gate(database: &Database) -> Self {
        database.tamper(GATE).await;
        Self::new(database, AT_THE_GATE).await
    }

    /// How many wait for it, and how many for any other lock of this kind.
    async fn waiting(&mut self) -> (i64, i64) {
        sqlx::query_as(
            "
            SELECT count(*) FILTER (WHERE key = $1), count(*) FILTER (WHERE key <> $1)
              FROM pg_locks
              JOIN pg_database ON pg_database.oid = database,
                   LATERAL (SELECT classid::bigint << 32 | objid::bigint) AS of (key)
             WHERE datname = current_database()
               AND locktype = 'advisory'
               AND NOT granted
            ",
        )
        .bind(self.key)
        .fetch_one(&mut self.connection)
        .await
        .unwrap()
    }

    async fn release(mut self) {
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(self.key);
        unlock.execute(&mut self.connection).await.unwrap();
    }
}

async fn keep(store: &dyn Store, number: u128, sku: &str) -> Position {
    let order_id = OrderId::new(MONDAY, Bucket::random());
    let basket = Basket::new(order_id, [sku.parse().unwrap()], MONDAY).unwrap();
    store.keep_basket(event_id(number), basket, MONDAY).await.unwrap()
}

async fn count(store: &dyn Store, number: u128, sku: &str) -> Position {
    let view = View { sku: sku.parse().unwrap(), hour: Hour::of(MONDAY) };
    store.count_view(event_id(number), view, MONDAY).await.unwrap()
}

/// Goes on from what was read last, as a model does.
#[derive(Default)]
struct Follower {
    position: Position,
    baskets: Vec<i64>,
    views: Vec<i64>,
    /// The last count of each product.
    counts: HashMap<String, u32>,
}

impl Follower {
    /// Says whether there was anything.
    fn learn(&mut self, changes: Changes) -> bool {
        let is_news = !changes.baskets.is_empty() || !changes.views.is_empty();
        self.baskets.extend(changes.baskets.iter().map(|basket| basket.sequence));
        for views in changes.views {
            self.views.push(views.version);
            self.counts.insert(views.view.sku.to_string(), views.count);
        }
        self.position = Position {
            baskets: self.baskets.last().copied().unwrap_or_default(),
            views: self.views.last().copied().unwrap_or_default(),
        };
        is_news
    }
}

#[tokio::test]
async fn a_basket_that_took_its_number_first_and_commits_last_is_not_missed() {
    let Some(database) = Database::postgres().await else { return };
    let (first, later, follower) = overtake(&database, keep).await;
    assert!(first.baskets < later.baskets);
    assert_eq!(follower.baskets, [first.baskets, later.baskets]);
}

#[tokio::test]
async fn a_count_that_took_its_version_first_and_commits_last_is_not_missed() {
    let Some(database) = Database::postgres().await else { return };
    let (first, later, follower) = overtake(&database, count).await;
    assert!(first.views < later.views);
    assert_eq!(follower.views, [first.views, later.views]);
}

/// Has one who writes overtaken by another between its number and its commit, while
/// somebody follows.
async fn overtake(
    database: &Database,
    write: impl AsyncFn(&dyn Store, u128, &str) -> Position,
) -> (Position, Position, Follower) {
    let (writers, reader) = two_stores(database).await;
    let mut gate = Held::gate(database).await;
    let read = async {
        while gate.waiting().await.0 < 1 {}
        let later = write(&*writers, 2, "MUG").await;
        let mut reading = pin!(reader.changes(Position::default(), 10));
        // As far as that gets while the first is still under way.
        let early = loop {
            if let Some(changes) = (&mut reading).now_or_never() {
                break Some(changes);
            }
            if 0 < gate.waiting().await.1 {
                break None;
            }
        };
        gate.release().await;
        let changes = match early {
            Some(changes) => changes,
            None => reading.await,
        };
        (later, changes.unwrap())
    };
    let (first, (later, changes)) = join!(write(&*writers, 1, "HELD"), read);

    let mut follower = Follower::default();
    follower.learn(changes);
    follower.learn(reader.changes(follower.position, 10).await.unwrap());
    (first, later, follower)
}

#[tokio::test]
async fn no_number_is_taken_while_a_reader_looks_how_far_they_go() {
    let Some(database) = Database::postgres().await else { return };
    let (writers, _) = two_stores(&database).await;
    let mut reader = Held::new(&database, LEARNING).await;

    let look = async {
        while reader.waiting().await.0 < 2 {}
        let numbers = "SELECT pg_sequence_last_value('baskets_sequence'),
                              pg_sequence_last_value('product_views_version')";
        let taken = database.query(numbers).await;
        reader.release().await;
        taken.unwrap()
    };
    let (basket, view, taken) = join!(keep(&*writers, 1, "MUG"), count(&*writers, 2, "MUG"), look);

    assert_eq!(taken, [[None, None]]);
    assert_eq!((basket.baskets, view.views), (1, 1));
}

#[tokio::test]
async fn a_follower_misses_nothing_of_what_many_write_at_once() {
    const WRITES: usize = 300;
    const PRODUCTS: [&str; 3] = ["MUG", "TEA", "LAMP"];
    let Some(database) = Database::postgres().await else { return };
    let (one, other) = two_stores(&database).await;
    let left = AtomicUsize::new(WRITES);
    let stores = [&one, &other];
    let write = async |number: usize| {
        let (store, sku) = (&**stores[number % 2], PRODUCTS[number % PRODUCTS.len()]);
        let kept = match number % 4 {
            0 | 1 => keep(store, number as u128, sku).await,
            _ => count(store, number as u128, sku).await,
        };
        left.fetch_sub(1, Ordering::Relaxed);
        kept
    };
    let written = stream::iter(0..WRITES).map(write).buffer_unordered(20).collect::<Vec<_>>();

    let follow = async {
        let mut follower = Follower::default();
        loop {
            let is_over = left.load(Ordering::Relaxed) == 0;
            let changes = one.changes(follower.position, 7).await.unwrap();
            if !follower.learn(changes) && is_over {
                break follower;
            }
        }
    };
    let (written, follower) = join!(written, follow);

    let mut baskets: Vec<i64> = written.iter().map(|at| at.baskets).filter(|at| 0 < *at).collect();
    baskets.sort_unstable();
    assert_eq!(follower.baskets, baskets);
    assert!(follower.views.is_sorted_by(|one, other| one < other));
    assert_eq!(follower.counts.values().sum::<u32>(), 150);
}

#[tokio::test]
async fn a_writer_that_is_stuck_holds_up_readers_but_fails_no_writer() {
    let Some(database) = Database::postgres().await else { return };
    let (writers, reader) = two_stores(&database).await;
    let mut gate = Held::gate(&database).await;
    let held = keep(&*writers, 1, "HELD");

    let (readers, others) = (&reader, &writers);
    let meanwhile = async move {
        while gate.waiting().await.0 < 1 {}
        let write = async {
            while gate.waiting().await.1 < 1 {}
            keep(&**others, 2, "MUG").await
        };
        let (read, kept) = join!(readers.changes(Position::default(), 10), write);
        assert!(matches!(read, Err(Error::Busy(_))), "{read:?}");
        gate.release().await;
        kept
    };
    let (held, kept) = join!(held, meanwhile);

    let changes = reader.changes(Position::default(), 10).await.unwrap();
    let read: Vec<i64> = changes.baskets.iter().map(|basket| basket.sequence).collect();
    assert_eq!(read, [held.baskets, kept.baskets]);
}

#[tokio::test]
async fn what_one_process_hears_all_learn_once() {
    let Some(database) = Database::postgres().await else { return };
    let database = Arc::new(database);
    let start = || {
        let database = Arc::clone(&database);
        Service::start_on(database, Faults::default(), ManualClock::new(MONDAY))
    };
    let (one, other) = (start().await, start().await);
    let order = confirmed(MONDAY, &["MUG", "TEA"]);

    // A delivery whose answer was lost is repeated, to whoever is there.
    let (first, again) = join!(one.deliver(&order), other.deliver(&order));
    assert_eq!((first.0, again.0), (Verdict::Done, Verdict::Done));
    one.bought(&["LAMP", "BULB"]).await;

    for service in [&one, &other] {
        assert!(service.broken().await.is_empty());
        assert_eq!(service.recommend(&["MUG"], 1).await, ["TEA"]);
        assert_eq!(service.recommend(&["LAMP"], 1).await, ["BULB"]);
        assert_eq!(service.audit().await[1].order_ids.len(), 2);
    }
}

/// With connections of their own, as in two processes.
async fn two_stores(database: &Database) -> (Arc<dyn Store>, Arc<dyn Store>) {
    (open(database, Faults::default()).await, open(database, Faults::default()).await)
}
