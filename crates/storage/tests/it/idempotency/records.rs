//! The records of either kind of database.

use time::OffsetDateTime;
use trellis_api::id::Bucket;
use trellis_storage::idempotency::postgres::{self as kept, Key};
use trellis_storage::idempotency::{self, Answer, Claim, Fingerprint};
use trellis_storage::{Error, Options, Postgres, Sqlite, Tx, Url};
use trellis_testkit::Database;
use uuid::Uuid;

use super::{KEY, NOW};

pub(super) enum Records {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

pub(super) async fn open(database: &Database) -> Records {
    let options = Options::default();
    match database.url().parse().unwrap() {
        Url::Sqlite(path) => {
            Records::Sqlite(Sqlite::open(&path, &[idempotency::MIGRATION], &options).unwrap())
        }
        Url::Shards(_) => unreachable!("it is one database"),
        Url::Postgres(url) => {
            Records::Postgres(Postgres::open(&url, &[kept::MIGRATION], &options).await.unwrap())
        }
    }
}

fn key(scope: &str, key: Uuid) -> Key<'_> {
    Key { bucket: Bucket::of(key), scope, key }
}

async fn claim(mut tx: Tx, scope: &str, request: &Fingerprint) -> Result<Claim, Error> {
    kept::claim(&mut tx, key(scope, KEY), request, "order_1", NOW).await
}

async fn find(mut tx: Tx, request: &Fingerprint) -> Result<Option<Claim>, Error> {
    kept::find(&mut tx, key("pay", KEY), request).await
}

async fn finish(mut tx: Tx, answer: &Answer) -> Result<(), Error> {
    kept::finish(&mut tx, key("pay", KEY), answer).await
}

async fn purge(mut tx: Tx, before: OffsetDateTime) -> Result<u64, Error> {
    kept::purge(&mut tx, before).await
}

async fn claim_and_fail(mut tx: Tx, request: &Fingerprint) -> Result<(), Error> {
    kept::claim(&mut tx, key("pay", KEY), request, "", NOW).await?;
    Err(Error::Overloaded)
}

async fn fill(mut tx: Tx, count: u64, request: &Fingerprint) -> Result<(), Error> {
    for number in 0..u128::from(count) {
        let number = Uuid::from_u128(number);
        kept::claim(&mut tx, key("pay", number), request, "", NOW).await?;
    }
    Ok(())
}

impl Records {
    pub(super) async fn claim(&self, scope: &'static str, request: &str) -> Claim {
        let request = Fingerprint::of(&[request.as_bytes()]);
        let claim = match self {
            Self::Sqlite(database) => {
                let claim =
                    move |tx: &_| idempotency::claim(tx, scope, KEY, &request, "order_1", NOW);
                database.write(claim).await
            }
            Self::Postgres(database) => database.write(|tx| claim(tx, scope, &request)).await,
        };
        claim.unwrap()
    }

    pub(super) async fn find(&self) -> Option<Claim> {
        let request = Fingerprint::of(&[b"ten euros"]);
        let found = match self {
            Self::Sqlite(database) => {
                database.read(move |tx| idempotency::find(tx, "pay", KEY, &request)).await
            }
            Self::Postgres(database) => database.look_up(|tx| find(tx, &request)).await,
        };
        found.unwrap()
    }

    pub(super) async fn finish(&self, code: i32, body: &[u8]) {
        let answer = Answer { code, body: body.to_vec() };
        let finished = match self {
            Self::Sqlite(database) => {
                database.write(move |tx| idempotency::finish(tx, "pay", KEY, &answer)).await
            }
            Self::Postgres(database) => database.write(|tx| finish(tx, &answer)).await,
        };
        finished.unwrap();
    }

    pub(super) async fn purge(&self, before: OffsetDateTime) -> u64 {
        let purged = match self {
            Self::Sqlite(database) => {
                database.write(move |tx| idempotency::purge(tx, before)).await
            }
            Self::Postgres(database) => database.write(|tx| purge(tx, before)).await,
        };
        purged.unwrap()
    }

    /// Claims in a unit of work that fails.
    pub(super) async fn claim_and_fail(&self) -> Result<(), Error> {
        let request = Fingerprint::of(&[b"ten euros"]);
        match self {
            Self::Sqlite(database) => {
                let claim = move |tx: &_| {
                    idempotency::claim(tx, "pay", KEY, &request, "", NOW)?;
                    Err(Error::Overloaded)
                };
                database.write(claim).await
            }
            Self::Postgres(database) => database.write(|tx| claim_and_fail(tx, &request)).await,
        }
    }

    pub(super) async fn fill(&self, count: u64) {
        let request = Fingerprint::of(&[b"any"]);
        let filled = match self {
            Self::Sqlite(database) => {
                let fill = move |tx: &_| {
                    for number in 0..u128::from(count) {
                        let number = Uuid::from_u128(number);
                        idempotency::claim(tx, "pay", number, &request, "", NOW)?;
                    }
                    Ok::<_, Error>(())
                };
                database.write(fill).await
            }
            Self::Postgres(database) => database.write(|tx| fill(tx, count, &request)).await,
        };
        filled.unwrap();
    }
}
