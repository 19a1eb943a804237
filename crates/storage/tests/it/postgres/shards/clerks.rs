//! People who write and read while buckets move.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinSet;

use super::*;

/// They write until they are told to stop.
pub(super) struct Clerks {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<BTreeMap<Bucket, i64>>,
}

impl Clerks {
    /// Each has an account of its own in every bucket, and fails unless each write finds
    /// those before, and, if they read as well, each look.
    pub(super) fn start(handles: Vec<Shards>, buckets: &[Bucket], do_read: bool) -> Self {
        let (stop, mut tasks) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for (number, shards) in handles.into_iter().enumerate() {
            let (stop, buckets) = (Arc::clone(&stop), buckets.to_vec());
            let name = format!("clerk {number}");
            tasks.spawn(async move { work(&shards, &name, &buckets, do_read, &stop).await });
        }
        Self { stop, tasks }
    }

    /// Stops them, and fails unless everything is there that they were told is.
    pub(super) async fn finish(self, shards: &Shards) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = 0;
        for counts in self.tasks.join_all().await {
            sum += counts.values().sum::<i64>();
        }
        let mut kept = 0;
        for number in 0..BUCKETS {
            let bucket = bucket(number);
            let query = async |mut tx: Tx| {
                let count = sqlx::query_scalar("SELECT count(*) FROM entries WHERE bucket = $1")
                    .bind(bucket.get().cast_signed())
                    .fetch_one(&mut *tx)
                    .await;
                Ok::<i64, Error>(count?)
            };
            kept += shards.look_up(bucket, &query).await.unwrap();
        }
        assert_eq!(kept, sum, "entries are lost, or there twice");
        sum
    }
}

async fn work(
    shards: &Shards,
    name: &str,
    buckets: &[Bucket],
    do_read: bool,
    stop: &AtomicBool,
) -> BTreeMap<Bucket, i64> {
    let mut counts: BTreeMap<Bucket, i64> = BTreeMap::new();
    let mut turn = buckets.iter().cycle();
    while !stop.load(Ordering::Relaxed) || counts.len() < buckets.len() {
        let bucket = *turn.next().unwrap();
        let expected = counts.entry(bucket).or_default();
        *expected += 1;
        assert_eq!(write(shards, bucket, name).await.unwrap(), *expected, "{bucket:?}");
        if do_read {
            let seen = read(shards, bucket, name).await.unwrap();
            assert_eq!(seen, (*expected, *expected), "{bucket:?}");
        }
    }
    counts
}
