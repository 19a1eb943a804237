//! Tasks end when they are told to, and none fails in silence.

use std::time::Duration;

use tokio::time::Instant;
use trellis_chassis::Shutdown;

const GRACE: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn finish_waits_for_every_task() {
    let shutdown = Shutdown::default();
    let stop = shutdown.requested();
    shutdown.spawn("slow", async {
        stop.await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    });
    shutdown.request();
    let start = Instant::now();

    shutdown.finish(GRACE).await.unwrap();

    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(!shutdown.failed());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_named() {
    let shutdown = Shutdown::default();
    shutdown.spawn("order.relay", std::future::pending());
    shutdown.spawn("stuck", std::future::pending());
    shutdown.spawn("stuck", std::future::pending());
    shutdown.request();

    let error = shutdown.finish(GRACE).await.unwrap_err().to_string();

    assert_eq!(error, "3 tasks did not end within 20s: order.relay, stuck (2 times)");
}

#[tokio::test]
async fn a_failed_task_stops_the_process() {
    let shutdown = Shutdown::default();
    shutdown.spawn("broken", async { Err(anyhow::anyhow!("disk gone").context("cannot write")) });

    shutdown.requested().await;

    assert!(shutdown.failed());
    let error = shutdown.finish(GRACE).await.unwrap_err().to_string();
    assert_eq!(error, "task broken failed: cannot write: disk gone");
}

#[tokio::test]
async fn a_task_that_panics_has_failed() {
    let shutdown = Shutdown::default();
    shutdown.spawn("broken", async { panic!("on purpose") });

    shutdown.requested().await;

    let error = shutdown.finish(GRACE).await.unwrap_err().to_string();
    assert_eq!(error, "task broken failed: panicked: on purpose");
}

#[tokio::test(start_paused = true)]
async fn a_process_leaves_before_it_stops() {
    let shutdown = Shutdown::new(Duration::from_secs(5));
    let start = Instant::now();
    shutdown.request();
    shutdown.request();

    shutdown.leaving().await;
    assert!(shutdown.is_leaving() && !shutdown.is_requested());
    assert_eq!(start.elapsed().as_secs(), 0);

    shutdown.requested().await;
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_grace_begins_when_the_doors_close() {
    let shutdown = Shutdown::new(Duration::from_secs(5));
    shutdown.spawn("stuck", std::future::pending());
    shutdown.request();
    let start = Instant::now();

    shutdown.finish(GRACE).await.unwrap_err();

    assert_eq!(start.elapsed().as_secs(), 25);
}

#[test]
fn a_request_outside_of_a_runtime_stops_at_once() {
    let shutdown = Shutdown::new(Duration::from_secs(5));

    shutdown.request();

    assert!(shutdown.is_requested());
}

#[tokio::test(start_paused = true)]
async fn ticks_come_at_once_and_then_in_their_rhythm_until_the_stop() {
    let shutdown = Shutdown::default();
    let mut ticks = shutdown.ticks(Duration::from_secs(10));
    let start = Instant::now();

    for seconds in [0, 10, 20] {
        assert!(ticks.next().await);
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    // What takes too long is not made up for.
    tokio::time::sleep(Duration::from_secs(35)).await;
    for seconds in [55, 65] {
        assert!(ticks.next().await);
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    let (ticked, ()) = tokio::join!(ticks.next(), async { shutdown.request() });
    assert!(!ticked);
    assert_eq!(start.elapsed().as_secs(), 65);
}
