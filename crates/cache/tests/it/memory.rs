//! One process, without Redis.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinSet;
use trellis_cache::{Error, Settings};

use crate::kit::{Fault, HARD, Process, SOFT, Store};

const LITTLE: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_readers_of_one_key_ask_the_store_once() {
    let store = Store::closed();
    store.write("mug", 1);
    let process = Arc::new(Process::alone(&store));
    let mut readers = JoinSet::new();
    for _ in 0..1_000 {
        let process = Arc::clone(&process);
        readers.spawn(async move { process.version("mug").await });
    }
    store.arrived(1).await;
    store.let_in(1);

    assert!(readers.join_all().await.iter().all(|version| *version == 1));
    assert_eq!(store.reads(), 1);
    let (hits, misses) =
        (process.counted("hits_total", ",layer=\"memory\""), process.counted("misses_total", ""));
    assert_eq!(hits + misses, 1_000);
    assert_eq!(process.counted("coalesced_total", ""), misses - 1);
}

#[tokio::test]
async fn who_stops_waiting_breaks_nothing_off() {
    let store = Store::closed();
    store.write("mug", 1);
    let process = Process::alone(&store);
    {
        let reading = process.version("mug");
        tokio::select! {
            biased;
            _ = reading => unreachable!("the door is closed"),
            () = store.arrived(1) => {}
        }
    }
    store.let_in(1);

    assert_eq!(process.version("mug").await, 1);
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn what_was_read_before_an_invalidation_is_not_kept_after_it() {
    let store = Store::closed();
    store.write("mug", 1);
    let process = Process::alone(&store);

    let early = process.version("mug");
    let late = async {
        // The early one has read the row and is on its way back.
        store.arrived(1).await;
        process.write("mug", 2).await;
        // Who asks from now on does not wait for it.
        let late = process.version("mug");
        let doorman = async {
            store.arrived(2).await;
            store.let_in(2);
        };
        tokio::join!(late, doorman).0
    };
    assert_eq!(tokio::join!(early, late), (1, 2));

    assert_eq!(process.version("mug").await, 2);
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn an_early_read_that_comes_back_last_does_not_replace_a_later_one() {
    let store = Store::closed();
    store.write("mug", 1);
    let process = Process::alone(&store);
    let (gate, opened) = tokio::sync::oneshot::channel();
    let key = "mug".to_owned();
    let early = process.values.get(&key, || async move {
        opened.await.unwrap();
        Ok(Some((1, "mug 1".to_owned())))
    });
    let late = async {
        process.write("mug", 2).await;
        store.let_in(1);
        assert_eq!(process.version("mug").await, 2);
        gate.send(()).unwrap();
    };
    let (early, ()) = tokio::join!(early, late);

    assert_eq!(*early.unwrap().unwrap(), "mug 1");
    assert_eq!(process.version("mug").await, 2);
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn a_stale_value_is_given_out_while_one_reader_reads_a_new_one() {
    let store = Store::open();
    store.write("mug", 1);
    let process = Process::alone(&store);
    assert_eq!(process.version("mug").await, 1);
    store.write("mug", 2);
    process.clock.advance(SOFT.mul_f64(1.2));

    let versions = join_all((0..100).map(|_| process.version("mug"))).await;
    assert!(versions.iter().all(|version| *version == 1));
    store.arrived(2).await;
    while process.version("mug").await == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn what_was_kept_stands_in_for_a_store_that_fails_until_it_is_too_old() {
    let store = Store::open();
    store.write("mug", 1);
    let process = Process::alone(&store);
    assert_eq!(process.version("mug").await, 1);
    for fault in [Fault::Error, Fault::Panic] {
        store.fail(fault);
        process.clock.advance(SOFT * 2);
        assert_eq!(process.version("mug").await, 1);
    }

    store.fail(Fault::Error);
    process.clock.advance(HARD);
    assert_eq!(process.read("mug").await, Err(Error::Load("the disk is on fire")));
    store.fail(None);
    assert_eq!(process.version("mug").await, 1);
}

#[tokio::test]
async fn a_panic_is_an_error_of_that_read_alone() {
    let store = Store::open();
    store.write("mug", 1);
    let process = Process::alone(&store);
    store.fail(Fault::Panic);
    assert_eq!(process.read("mug").await, Err(Error::Panicked));

    store.fail(None);
    assert_eq!(process.version("mug").await, 1);
    assert!(!process.shutdown.failed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_waited_for_for_a_second() {
    let store = Store::closed();
    let process = Process::alone(&store);
    let begun = tokio::time::Instant::now();

    assert_eq!(process.read("mug").await, Err(Error::TimedOut));
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn that_there_is_nothing_is_remembered_for_five_seconds() {
    let store = Store::open();
    let process = Process::alone(&store);
    assert_eq!(process.read("mug").await, Ok(None));
    assert_eq!(process.read("mug").await, Ok(None));
    assert_eq!(store.reads(), 1);

    store.write("mug", 1);
    process.clock.advance(Duration::from_secs(5));
    assert_eq!(process.version("mug").await, 1);
}

#[tokio::test]
async fn what_comes_to_be_is_seen_at_once_by_who_made_it() {
    let process = Process::alone(&Store::open());
    assert_eq!(process.read("mug").await, Ok(None));

    process.write("mug", 1).await;

    assert_eq!(process.version("mug").await, 1);
}

#[tokio::test]
async fn no_more_than_thirty_two_reads_of_the_store_are_under_way() {
    let store = Store::closed();
    let process = Process::alone(&store);
    let readers = join_all((0..100).map(|number| {
        let process = &process;
        async move { process.read(&format!("mug-{number}")).await }
    }));
    let doorman = async {
        for reads in 32..=100 {
            store.arrived(reads).await;
            store.let_in(1);
        }
        store.let_in(100);
    };
    let (read, ()) = tokio::join!(readers, doorman);

    assert!(read.iter().all(|read| *read == Ok(None)));
    assert_eq!(store.most_at_once(), 32);
}

#[tokio::test]
async fn a_write_whose_end_nobody_saw_counts_as_done() {
    let store = Store::open();
    store.write("mug", 1);
    let process = Process::alone(&store);
    assert_eq!(process.version("mug").await, 1);

    let change = process.values.change(["mug".to_owned()], 2);
    store.write("mug", 2);
    drop(change);

    assert_eq!(process.version("mug").await, 2);
}

#[tokio::test]
async fn caches_that_are_off_ask_the_store_each_time() {
    let process = Process::alone(&Store::open());
    let caches = process.caches().off();
    let values = caches.open::<String, String, &str>(Settings::new("off", SOFT, HARD));
    for version in 1..4 {
        let load = move || async move { Ok(Some((version, version.to_string()))) };
        let value = values.get(&"mug".to_owned(), load).await.unwrap().unwrap();
        assert_eq!(*value, version.to_string());
    }
}

#[tokio::test]
async fn a_read_of_an_older_copy_does_not_take_a_value_back() {
    let store = Store::open();
    store.write("mug", 2);
    let process = Process::alone(&store);
    assert_eq!(process.version("mug").await, 2);

    // As if it came from a replica that lags behind.
    store.write("mug", 1);
    process.clock.advance(SOFT * 2);
    for _ in 0..3 {
        assert_eq!(process.version("mug").await, 2);
        process.clock.advance(LITTLE);
        store.arrived(2).await;
    }
}
