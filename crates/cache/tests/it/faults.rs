//! A Redis that is killed, stopped, or robbed of its memory, while values are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;
use trellis_testkit::Redis;

use crate::kit::{Process, Store, eventually, sees};

const KEYS: usize = 50;

/// Readers who go on until they are told to end, and none of whom may see a read fail.
struct Crowd {
    readers: JoinSet<()>,
    is_over: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
}

impl Crowd {
    fn begin(process: &Arc<Process>) -> Self {
        let (is_over, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut readers = JoinSet::new();
        for reader in 0..8 {
            let (process, is_over, reads) =
                (Arc::clone(process), Arc::clone(&is_over), Arc::clone(&reads));
            readers.spawn(async move {
                let mut number = reader;
                while !is_over.load(Ordering::Relaxed) {
                    number = (number + 7) % KEYS;
                    assert_eq!(process.version(&key(number)).await, 1);
                    reads.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { readers, is_over, reads }
    }

    /// Ends when so many more reads were made.
    async fn goes_on(&self, reads: usize) {
        let goal = self.reads.load(Ordering::Relaxed) + reads;
        eventually("reads go on", || goal <= self.reads.load(Ordering::Relaxed)).await;
    }

    async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.readers.join_next().await {
            ended.unwrap();
        }
    }
}

fn key(number: usize) -> String {
    format!("mug-{number}")
}

async fn shop() -> Option<(Redis, Arc<Process>)> {
    let server = Redis::start().await?;
    let store = Store::open();
    for number in 0..KEYS {
        store.write(&key(number), 1);
    }
    let process = Arc::new(Process::impatient(&server, &store).await);
    Some((server, process))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_when_redis_is_killed_and_when_it_is_back() {
    let Some((server, process)) = shop().await else { return };
    let crowd = Crowd::begin(&process);
    crowd.goes_on(1_000).await;

    server.kill();
    process.listens_no_more().await;
    crowd.goes_on(1_000).await;
    server.resume().await;
    process.listens().await;
    crowd.goes_on(1_000).await;

    crowd.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_when_redis_does_not_answer() {
    let Some((server, process)) = shop().await else { return };
    let crowd = Crowd::begin(&process);
    crowd.goes_on(1_000).await;

    server.stop();
    // A ping that is overdue tells it, and memory is forgotten.
    process.listens_no_more().await;
    crowd.goes_on(1_000).await;
    server.go_on();
    process.listens().await;
    crowd.goes_on(1_000).await;

    crowd.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_when_redis_forgets_everything() {
    let Some((server, process)) = shop().await else { return };
    let crowd = Crowd::begin(&process);
    crowd.goes_on(1_000).await;

    for _ in 0..5 {
        let before = process.counted("invalidations_total", ",origin=\"all\"");
        server.flush().await;
        let forgotten = || before < process.counted("invalidations_total", ",origin=\"all\"");
        eventually("memory is forgotten, too", forgotten).await;
        crowd.goes_on(100).await;
    }

    crowd.end().await;
}

#[tokio::test]
async fn a_change_while_redis_does_not_answer_is_seen_at_once_here_and_later_elsewhere() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (one, other) =
        (Process::impatient(&server, &store).await, Process::impatient(&server, &store).await);
    assert_eq!((one.version("mug").await, other.version("mug").await), (1, 1));

    server.stop();
    one.write("mug", 2).await;
    assert_eq!(one.version("mug").await, 2);
    server.go_on();

    // Redis still has the old one. Who wrote the new one does not believe it.
    assert_eq!(one.version("mug").await, 2);
    let told = || one.counted("pending_invalidations", "") == 0;
    eventually("Redis has heard of it", told).await;
    sees(&other, "mug", 2).await;
    assert_eq!(one.version("mug").await, 2);
}

#[tokio::test]
async fn a_change_while_redis_is_dead_is_not_undone_when_it_is_back() {
    let Some(server) = Redis::start().await else { return };
    let store = Store::open();
    store.write("mug", 1);
    let (one, other) =
        (Process::impatient(&server, &store).await, Process::impatient(&server, &store).await);
    assert_eq!((one.version("mug").await, other.version("mug").await), (1, 1));

    server.kill();
    one.write("mug", 2).await;
    assert_eq!(one.version("mug").await, 2);
    server.resume().await;
    one.listens().await;
    assert_eq!(one.version("mug").await, 2);
    sees(&other, "mug", 2).await;
}
