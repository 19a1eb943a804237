//! A rate that processes share.

use std::time::Duration;

use tokio::time::timeout;
use trellis_cache::SharedRate;
use trellis_testkit::Redis;

use crate::kit::connect;

async fn admitted(rates: &[SharedRate], key: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for call in 0..calls {
        let checked = rates[call % rates.len()].check(key).await.unwrap();
        admitted += usize::from(checked.is_ok());
    }
    admitted
}

#[tokio::test]
async fn all_processes_together_let_one_burst_through() {
    let Some(server) = Redis::start().await else { return };
    // One call in a thousand seconds: whatever the machine does, no more than the burst.
    let rate = || SharedRate::new(connect(&server), "test", 0.001, 5);
    let rates = [rate(), rate(), rate()];

    assert_eq!(admitted(&rates, "192.0.2.1", 30).await, 5);
    assert_eq!(admitted(&rates, "192.0.2.2", 30).await, 5);
}

#[tokio::test]
async fn a_refusal_says_when_the_next_call_is_due() {
    let Some(server) = Redis::start().await else { return };
    let rate = SharedRate::new(connect(&server), "test", 0.1, 2);
    assert_eq!(admitted(std::slice::from_ref(&rate), "me", 2).await, 2);

    let wait = rate.check("me").await.unwrap().unwrap_err();
    assert!(wait <= Duration::from_secs(10), "{wait:?}");
    // A refusal costs nothing.
    let again = rate.check("me").await.unwrap().unwrap_err();
    assert!(again <= wait, "{again:?} {wait:?}");
}

#[tokio::test]
async fn after_a_pause_there_is_a_call_again() {
    let Some(server) = Redis::start().await else { return };
    let rate = SharedRate::new(connect(&server), "test", 20.0, 1);
    let mut admitted = 0;
    let three = async {
        while admitted < 3 {
            match rate.check("me").await.unwrap() {
                Ok(()) => admitted += 1,
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    };
    timeout(Duration::from_secs(30), three).await.expect("twenty a second are let through");
}

#[tokio::test]
async fn without_redis_there_is_no_answer() {
    let Some(server) = Redis::start().await else { return };
    let rate = SharedRate::new(connect(&server), "test", 1.0, 1);
    server.kill();

    assert!(rate.check("me").await.is_err());
}
