//! The way to a server.

use redis::cmd;
use trellis_cache::redis::PATIENCE;

use crate::kit::{connect, connect_with};

#[tokio::test]
async fn a_server_that_wants_a_password_gets_it() {
    const PASSWORD: &str = "hunter2";
    let Some(server) = trellis_testkit::Redis::start_with_password(PASSWORD).await else { return };
    let redis = connect(&server);

    let pong: String = redis.query(&redis.operation("ping"), &cmd("PING")).await.unwrap();

    assert_eq!(pong, "PONG");
    assert!(!format!("{redis:?}").contains(PASSWORD));
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let Some(server) = trellis_testkit::Redis::start().await else { return };
    let (redis, ping) = (connect(&server), cmd("PING"));
    let answers = async || {
        let operation = redis.operation("ping");
        redis.query::<String>(&operation, &ping).await.is_ok()
    };
    assert!(answers().await);
    server.kill();
    assert!(!answers().await);
    server.resume().await;

    // The breaker may hold it back for a moment.
    while !answers().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_soon_asked_no_more() {
    let Some(server) = trellis_testkit::Redis::start().await else { return };
    let (redis, ping) = (connect_with(&server, PATIENCE), cmd("PING"));
    server.stop();

    let begun = tokio::time::Instant::now();
    for _ in 0..1_000 {
        let operation = redis.operation("ping");
        assert!(redis.query::<String>(&operation, &ping).await.is_err());
    }

    // A thousand waits would be a minute.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}
