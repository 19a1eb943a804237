//! Leases.

use std::time::Duration;

use time::OffsetDateTime;
use trellis_storage::{
    Options, Sqlite,
    lease::{self, MIGRATION},
};
use uuid::Uuid;

const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);
const TTL: Duration = Duration::from_secs(30);

#[tokio::test]
async fn one_owner_holds_a_lease_at_a_time() {
    let leases = Leases::open();
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(BOB, 29).await, None);
}

#[tokio::test]
async fn a_renewal_keeps_the_fence_and_prolongs_the_lease() {
    let leases = Leases::open();
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(ANN, 20).await, Some(1));
    assert_eq!(leases.acquire(BOB, 49).await, None);
}

#[tokio::test]
async fn a_takeover_raises_the_fence() {
    let leases = Leases::open();
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    assert_eq!(leases.acquire(BOB, 30).await, Some(2));
    assert_eq!(leases.acquire(ANN, 31).await, None);
    assert_eq!(leases.acquire(ANN, 60).await, Some(3));
}

#[tokio::test]
async fn a_lease_given_back_is_free_at_once_under_a_new_fence() {
    let leases = Leases::open();
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    leases.release(ANN).await;
    assert_eq!(leases.acquire(BOB, 1).await, Some(2));
    leases.release(BOB).await;
    assert_eq!(leases.acquire(BOB, 2).await, Some(3));
}

#[tokio::test]
async fn nobody_gives_back_what_another_holds() {
    let leases = Leases::open();
    assert_eq!(leases.acquire(ANN, 0).await, Some(1));
    leases.release(BOB).await;
    assert_eq!(leases.acquire(BOB, 1).await, None);
}

struct Leases(Sqlite, #[expect(dead_code, reason = "keeps the folder")] tempfile::TempDir);

impl Leases {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.db");
        Self(Sqlite::open(&path, &[MIGRATION], &Options::default()).unwrap(), folder)
    }

    async fn acquire(&self, owner: Uuid, seconds: u64) -> Option<i64> {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fence = self.0.write(move |tx| lease::acquire(tx, "relay", owner, TTL, now));
        fence.await.unwrap().map(lease::Fence::get)
    }

    async fn release(&self, owner: Uuid) {
        self.0.write(move |tx| lease::release(tx, "relay", owner)).await.unwrap();
    }
}
