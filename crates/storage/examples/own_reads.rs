//! Counts how often callers did not see what they had just written, on a primary with two
//! replicas, of which one stops taking in what it gets every now and then.
//!
//! Takes how many reads there shall be, and is also run with `just own-reads`.

#![expect(clippy::print_stdout, reason = "it is a report")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use trellis_consistency::{Tokens, context};
use trellis_storage::{Error, Freshness, Migration, Options, Postgres, Tx, Url};
use trellis_telemetry::Metrics;
use trellis_testkit::Postgres as Server;

const CALLERS: u64 = 16;
const MIGRATIONS: [Migration; 1] =
    [Migration { name: "0001_notes", sql: "CREATE TABLE notes (id bigint PRIMARY KEY)" }];

static STALE: AtomicU64 = AtomicU64::new(0);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let reads = std::env::args().nth(1).and_then(|reads| reads.parse().ok()).unwrap_or(100_000);
    let Some(primary) = Server::start().await else { return Ok(()) };
    let (one, other) = (primary.replica().await, primary.replica().await);
    let url = primary.together(&[&one, &other], &primary.database().await);
    one.catch_up(&primary).await;
    other.catch_up(&primary).await;
    let Ok(Url::Postgres(url)) = url.parse() else { return Ok(()) };
    let metrics = Metrics::default();
    let options = Options { metrics: metrics.clone(), ..Options::default() };
    let database = Postgres::open(&url, &MIGRATIONS, &options).await?;

    let began = Instant::now();
    let callers = (0..CALLERS).map(|caller| call_often(&database, caller, reads / CALLERS));
    let halting = async {
        loop {
            one.pause_replay().await;
            sleep(Duration::from_millis(300)).await;
            one.resume_replay().await;
            sleep(Duration::from_millis(700)).await;
        }
    };
    tokio::select! {
        done = futures::future::try_join_all(callers) => drop(done?),
        () = halting => {}
    }
    let stale = STALE.load(Ordering::Relaxed);
    println!("{reads} reads of what was just written in {:.1?}: {stale} stale", began.elapsed());
    for line in metrics.text().lines().filter(|line| line.starts_with("trellis_storage")) {
        println!("{line}");
    }
    Ok(())
}

/// Writes, and looks in a call of its own whether that is there.
async fn call_often(database: &Postgres, caller: u64, reads: u64) -> Result<(), Error> {
    let mut tokens = Tokens::default();
    for number in 0..reads {
        let id = i64::try_from(number * CALLERS + caller).unwrap_or(i64::MAX);
        let (written, after) = context::scope(tokens, database.write(|tx| insert(tx, id))).await;
        written?;
        let find = database.look_up_at(Freshness::Session, |tx| find(tx, id));
        let (found, after) = context::scope(after, find).await;
        if !found? {
            STALE.fetch_add(1, Ordering::Relaxed);
        }
        tokens = after;
    }
    Ok(())
}

async fn insert(mut tx: Tx, id: i64) -> Result<(), Error> {
    sqlx::query("INSERT INTO notes (id) VALUES ($1)").bind(id).execute(&mut *tx).await?;
    Ok(())
}

async fn find(mut tx: Tx, id: i64) -> Result<bool, Error> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM notes WHERE id = $1)").bind(id);
    Ok(found.fetch_one(&mut *tx).await?)
}
