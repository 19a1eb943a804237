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

fn open(redis: Option<Redis>) -> Values {
    let caches = Caches::new(redis, Arc::new(SystemClock), Metrics::default(), Shutdown::default());
    caches.open(Settings::new("bench", Duration::from_mins(5), Duration::from_hours(1)))
}

async fn read(values: &Values, key: &String) {
    let row = || async { Ok(Some((1, "a title of usual length, and a price".to_owned()))) };
    assert!(values.get(key, row).await.unwrap().is_some());
}

#[divan::bench(sample_size = 1000)]
fn in_memory(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let (values, key) = (open(None), "MUG-350ML-BLUE".to_owned());
    runtime.block_on(read(&values, &key));
    let _entered = runtime.enter();
    bencher.bench_local(|| futures::executor::block_on(read(&values, &key)));
}

/// What another process has put there, each read for the first time.
#[divan::bench]
fn in_redis(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().unwrap();
    let Some(server) = runtime.block_on(Server::start()) else { return };
    let connect =
        || Redis::new("redis.bench", server.url().parse().unwrap(), Roads::new().registry());
    let (other, values) = (open(Some(connect().unwrap())), open(Some(connect().unwrap())));
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            let key = format!("MUG-{number}");
            runtime.block_on(read(&other, &key));
            key
        })
        .bench_local_values(|key| {
            let nothing = || async { Ok(None) };
            assert!(runtime.block_on(values.get(&key, nothing)).unwrap().is_some());
        });
}
