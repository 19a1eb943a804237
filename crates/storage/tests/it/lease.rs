//! Leases.

use std::time::Duration;

use time::OffsetDateTime;
use trellis_storage::{Error, Options, Postgres, Sqlite, Tx, Url, lease};
use trellis_testkit::Database;
use uuid::Uuid;

const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);
const TTL: Duration = Duration::from_secs(30);

async fn one_owner_holds_a_lease_at_a_time(leases: Leases) {
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(BOB, 29).await, None);
}

async fn a_renewal_keeps_the_fence_and_prolongs_the_lease(leases: Leases) {
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(ANN, 20).await, Some(1));
    assert_eq!(leases.acquire(BOB, 49).await, None);
}

async fn a_takeover_raises_the_fence(leases: Leases) {
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(BOB, 30).await, Some(2));
    assert_eq!(leases.acquire(ANN, 31).await, None);
    assert_eq!(leases.acquire(ANN, 60).await, Some(3));
}

async fn a_lease_given_back_is_free_at_once_under_a_new_fence(leases: Leases) {
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    leases.release(ANN).await;
    assert_eq!(leases.acquire(BOB, 1).await, Some(2));
    leases.release(BOB).await;
    assert_eq!(leases.acquire(BOB, 2).await, Some(3));
}

async fn nobody_gives_back_what_another_holds(leases: Leases) {
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    leases.release(BOB).await;
    assert_eq!(leases.acquire(BOB, 1).await, None);
}

enum Leases {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Leases {
    async fn acquire(&self, owner: Uuid, seconds: u64) -> Option<i64> {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fence = match self {
            Self::Sqlite(database) => {
                database.write(move |tx| lease::acquire(tx, "relay", owner, TTL, now)).await
            }
            Self::Postgres(database) => database.write(|tx| acquire(tx, owner, now)).await,
        };
        fence.unwrap().map(lease::Fence::get)
    }

    async fn release(&self, owner: Uuid) {
        let released = match self {
            Self::Sqlite(database) => {
                database.write(move |tx| lease::release(tx, "relay", owner)).await
            }
            Self::Postgres(database) => database.write(|tx| release(tx, owner)).await,
        };
        released.unwrap();
    }
}

async fn acquire(
    mut tx: Tx,
    owner: Uuid,
    now: OffsetDateTime,
) -> Result<Option<lease::Fence>, Error> {
    lease::postgres::acquire(&mut tx, "relay", owner, TTL, now).await
}

async fn release(mut tx: Tx, owner: Uuid) -> Result<(), Error> {
    lease::postgres::release(&mut tx, "relay", owner).await
}

async fn open(database: &Database) -> Leases {
    let options = Options::default();
    match database.url().parse().unwrap() {
        Url::Sqlite(path) => {
            Leases::Sqlite(Sqlite::open(&path, &[lease::MIGRATION], &options).unwrap())
        }
        Url::Shards(_) => unreachable!("it is one database"),
        Url::Postgres(url) => {
            let migrations = [lease::postgres::MIGRATION];
            Leases::Postgres(Postgres::open(&url, &migrations, &options).await.unwrap())
        }
    }
}

trellis_testkit::on_each_database! {
    open:
    one_owner_holds_a_lease_at_a_time,
    a_renewal_keeps_the_fence_and_prolongs_the_lease,
    a_takeover_raises_the_fence,
    a_lease_given_back_is_free_at_once_under_a_new_fence,
    nobody_gives_back_what_another_holds,
}
