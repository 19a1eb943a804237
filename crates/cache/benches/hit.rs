//! What a hit costs in memory, and in Redis over the loopback.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use tokio::runtime::Runtime;
use trellis_cache::{Cache, Caches, Redis, Settings};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, SystemClock};
use trellis_telemetry::Metrics;
use trellis_testkit::Redis as Server;

type Values = Cache<String, String, &'static str>;

fn main() {
    divan::main();
}

fn open(redis: Option<Redis>, memory: Duration) -> Values {
    let caches = Caches::new(redis, Arc::new(SystemClock), Metrics::default(), Shutdown::default());
    let settings = Settings::new("bench", Duration::from_mins(5), Duration::from_hours(1));
    caches.open(Settings { memory, ..settings })
}

async fn read(values: &Values, key: &String) {
    let row = || async { Ok(Some((1, "a title of usual length, and a price".to_owned()))) };
    assert!(values.get(key, row).await.unwrap().is_some());
}

#[divan::bench]
fn in_memory(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let (values, key) = (open(None, Duration::from_mins(1)), "MUG-350ML-BLUE".to_owned());
    runtime.block_on(read(&values, &key));
    let _entered = runtime.enter();
    bencher.bench_local(|| futures::executor::block_on(read(&values, &key)));
}

#[divan::bench]
fn in_redis(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let Some(server) = runtime.block_on(Server::start()) else { return };
    let url = server.url().parse().unwrap();
    let redis = Redis::new("redis.bench", url, Roads::new().registry()).unwrap();
    // Nothing in memory is given out.
    let (values, key) = (open(Some(redis), Duration::ZERO), "MUG-350ML-BLUE".to_owned());
    runtime.block_on(read(&values, &key));
    bencher.bench_local(|| runtime.block_on(read(&values, &key)));
}
