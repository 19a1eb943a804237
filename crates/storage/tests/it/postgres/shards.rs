//! Shards, asked of real databases: who has which buckets, and what a move leaves.

mod clerks;
mod moving;
mod owning;
mod replicas;

use std::time::Duration;

use sqlx::PgConnection;
use trellis_api::id::{BUCKETS, Bucket};
use trellis_storage::{
    Error, Migration, Options, PostgresUrl, Shards, Tx, Url,
    shards::{
        self, State,
        mover::{Mover, Progress, Tables},
    },
};
use trellis_testkit::Database;

/// Accounts with their entries: one table refers to the other, and columns are of all
/// the kinds that services have.
const BOOKS: Migration = Migration {
    name: "0001_books",
    sql: "CREATE TABLE accounts (
              bucket smallint NOT NULL,
              name text NOT NULL COLLATE \"C\",
              count bigint NOT NULL DEFAULT 0,
              secret bytea NOT NULL DEFAULT '\\x00ff',
              opened timestamptz NOT NULL DEFAULT clock_timestamp(),
              PRIMARY KEY (bucket, name)
          );
          CREATE TABLE entries (
              bucket smallint NOT NULL,
              name text NOT NULL COLLATE \"C\",
              number bigint NOT NULL,
              note text,
              PRIMARY KEY (bucket, name, number),
              FOREIGN KEY (bucket, name) REFERENCES accounts (bucket, name)
          )",
};
const TABLES: Tables = &["accounts", "entries"];

/// Databases that are shards, and a handle on them.
struct World {
    databases: Vec<Database>,
    shards: Shards,
}

impl World {
    /// `None` where there is no Postgres.
    async fn of(count: usize) -> Option<Self> {
        let mut databases = Vec::new();
        for _ in 0..count {
            databases.push(Database::postgres().await?);
        }
        let shards = open(&databases.iter().collect::<Vec<_>>()).await.unwrap();
        Some(Self { databases, shards })
    }

    /// What another process has.
    async fn handle(&self) -> Shards {
        open(&self.databases.iter().collect::<Vec<_>>()).await.unwrap()
    }

    fn mover(&self) -> Mover<'_> {
        Mover::new(&self.shards, TABLES)
    }

    /// The numbers of the buckets of a shard in a state.
    async fn buckets(&self, shard: usize, state: State) -> Vec<u16> {
        let census = shards::mover::census(&self.shards).await.unwrap();
        census.ranges(shard, state).into_iter().flatten().collect()
    }

    async fn count(&self, shard: usize, query: &str) -> i64 {
        let rows = self.databases[shard].query(query).await.unwrap();
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }
}

async fn open(databases: &[&Database]) -> Result<Shards, Error> {
    let urls: Vec<PostgresUrl> = databases.iter().map(|database| url(database)).collect();
    Shards::open(&urls, &[shards::MIGRATION, BOOKS], &Options::default()).await
}

fn url(database: &Database) -> PostgresUrl {
    let Ok(Url::Postgres(url)) = database.url().parse() else { panic!("{}", database.url()) };
    url
}

fn bucket(number: u16) -> Bucket {
    Bucket::new(number).unwrap()
}

fn range(numbers: std::ops::Range<u16>) -> Vec<Bucket> {
    numbers.map(bucket).collect()
}

/// Adds an entry to an account, which it opens if there is none, and says how many the
/// account has.
async fn enter(tx: &mut PgConnection, bucket: Bucket, name: &str) -> Result<i64, Error> {
    let count = sqlx::query_scalar(
        "
        INSERT INTO accounts AS account (bucket, name, count)
        VALUES ($1, $2, 1)
        ON CONFLICT (bucket, name) DO UPDATE SET count = account.count + 1
        RETURNING count
        ",
    )
    .bind(bucket.get().cast_signed())
    .bind(name)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO entries (bucket, name, number, note) VALUES ($1, $2, $3, '\"ü\\u0000\"')",
    )
    .bind(bucket.get().cast_signed())
    .bind(name)
    .bind(count)
    .execute(tx)
    .await?;
    Ok(count)
}

async fn write(shards: &Shards, bucket: Bucket, name: &str) -> Result<i64, Error> {
    shards.write(bucket, |mut tx| async move { enter(&mut tx, bucket, name).await }).await
}

/// How many entries an account has by its own count, and by counting.
async fn read(shards: &Shards, bucket: Bucket, name: &str) -> Result<(i64, i64), Error> {
    shards.look_up(bucket, |tx| counts(tx, bucket, name)).await
}

async fn counts(mut tx: Tx, bucket: Bucket, name: &str) -> Result<(i64, i64), Error> {
    let counts = sqlx::query_as(
        "
        SELECT coalesce(max(count), 0)::bigint,
               (SELECT count(*) FROM entries WHERE bucket = $1 AND name = $2)
          FROM accounts
         WHERE bucket = $1
           AND name = $2
        ",
    )
    .bind(bucket.get().cast_signed())
    .bind(name)
    .fetch_one(&mut *tx)
    .await;
    Ok(counts?)
}

/// Nobody looks.
struct Unwatched;

impl Progress for Unwatched {
    fn settles(&self, _: Duration) {}
    fn copied(&self, _: u64) {}
    fn switched(&self, _: usize, _: Duration) {}
}
