//! Several processes over one Redis.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use trellis_testkit::Redis;

use crate::kit::{Process, SOFT, Store, sees};

#[tokio::test]
async fn what_one_process_has_read_another_finds_in_redis() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (one, other) = (Process::over(&server, &store).await, Process::over(&server, &store).await);

    assert_eq!(one.version("mug").await, 1);
    assert_eq!(other.version("mug").await, 1);

    assert_eq!(store.reads(), 1);
    assert_eq!(other.counted("hits_total", ",layer=\"redis\""), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_readers_in_two_processes_ask_the_store_once_for_one_lease() {
    const KEYS: usize = 20;
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    let (one, other) = (Process::over(&server, &store).await, Process::over(&server, &store).await);
    for number in 0..KEYS {
        let key = format!("mug-{number}");
        store.write(&key, 1);
        let all = (0..500).map(|_| async { tokio::join!(one.version(&key), other.version(&key)) });
        assert!(join_all(all).await.iter().all(|versions| *versions == (1, 1)));
    }

    let hits = [&one, &other].map(|it| it.counted("hits_total", ",layer=\"redis\""));
    let hits = usize::try_from(hits.iter().sum::<u64>()).unwrap();
    // Each process had each key from Redis or from the store, and from that only if the other
    // had no lease, or kept it waiting for longer than it waits.
    assert_eq!(store.reads() + hits, 2 * KEYS);
    assert!(store.reads() < KEYS * 3 / 2, "{} reads", store.reads());
}

#[tokio::test]
async fn what_one_process_changes_all_see() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (one, other) = (Process::over(&server, &store).await, Process::over(&server, &store).await);
    assert_eq!((one.version("mug").await, other.version("mug").await), (1, 1));

    for version in 2..20 {
        one.write("mug", version).await;
        // Who wrote it reads it at once, the others when they have heard of it.
        assert_eq!(one.version("mug").await, version);
        sees(&other, "mug", version).await;
    }
}

#[tokio::test]
async fn a_slow_reader_elsewhere_does_not_bring_back_what_is_outdated() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (slow, fast) = (Process::over(&server, &store).await, Process::over(&server, &store).await);
    let (gate, opened) = oneshot::channel();
    let key = "mug".to_owned();
    let early = slow.values.get(&key, || async move {
        opened.await.unwrap();
        Ok(Some((1, "mug 1".to_owned())))
    });
    let change = async {
        tokio::task::yield_now().await;
        fast.write("mug", 2).await;
        gate.send(()).unwrap();
    };
    let (early, ()) = tokio::join!(early, change);
    assert_eq!(*early.unwrap().unwrap(), "mug 1");

    // Nobody is given it again.
    assert_eq!(fast.version("mug").await, 2);
    sees(&slow, "mug", 2).await;
    let third = Process::over(&server, &store).await;
    assert_eq!(third.version("mug").await, 2);
}

#[tokio::test]
async fn a_value_that_is_stale_everywhere_is_read_anew_by_one() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (one, other) = (Process::over(&server, &store).await, Process::over(&server, &store).await);
    assert_eq!(one.version("mug").await, 1);
    sees(&other, "mug", 1).await;
    let before = store.reads();
    store.write("mug", 2);
    for process in [&one, &other] {
        process.clock.advance(SOFT.mul_f64(1.2));
    }

    assert_eq!(one.version("mug").await, 1);
    sees(&one, "mug", 2).await;
    sees(&other, "mug", 2).await;
    assert_eq!(store.reads(), before + 1);
}

#[tokio::test]
async fn a_lease_whose_holder_has_died_holds_nobody_up_for_long() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let process = Process::over(&server, &store).await;
    let mut lease = redis::cmd("SET");
    lease.arg("trellis:lease:1:test:mug").arg("somebody").arg("PX").arg(60_000);
    let redis = process.redis.as_ref().unwrap();
    redis.query::<()>(&redis.operation("set"), &lease).await.unwrap();

    let reading = tokio::time::timeout(Duration::from_secs(10), process.version("mug"));
    assert_eq!(reading.await.expect("it does not wait for ever"), 1);
}
