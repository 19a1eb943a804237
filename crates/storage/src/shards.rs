//! Users, and all that they own, spread over several Postgres databases by bucket.
//!
//! Each database says itself which of the 4,096 buckets it owns, and each unit of work that
//! writes asks it, in the round trip of its BEGIN, and keeps the bucket there until it
//! ends. So no two databases ever take writes for one bucket, whatever a process believes.
//!
//! Reads go by what the databases said within the last second. They ask as well while a
//! bucket moves, and [`mover`] lets a move begin long before it ends.

mod identity;
mod map;
pub mod mover;
mod patience;
mod state;

use std::{fmt, sync::Arc};

use trellis_api::id::Bucket;

use crate::{
    Error, Freshness, Migration, Options, Postgres, PostgresUrl, Tx,
    answer::{self, Outcome},
    meters::Kind,
    postgres::Door,
};

use self::{map::Map, patience::Patience};

pub use self::{identity::ShardsProblem, state::State};

/// The tables this module works on; put them among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "shards_0001", sql: include_str!("shards/postgres.sql") };

/// The databases of a service; cheap to clone, and all clones are one.
#[derive(Clone)]
pub struct Shards {
    shared: Arc<Shared>,
}

struct Shared {
    shards: Vec<Postgres>,
    map: Map,
}

impl Shards {
    /// Connects to all of them, and migrates each. `migrations` include [`MIGRATION`].
    ///
    /// If the first has no records yet, the buckets are dealt out evenly. A database that is
    /// added later, at the end of the list, begins without any: move some there.
    pub async fn open(
        urls: &[PostgresUrl],
        migrations: &[Migration],
        options: &Options,
    ) -> Result<Self, Error> {
        let mut shards = Vec::with_capacity(urls.len());
        for (shard, url) in (0..).zip(urls) {
            let options = Options { shard, ..options.clone() };
            shards.push(Postgres::open(url, migrations, &options).await?);
        }
        if options.read_only {
            identity::verify(&shards).await?;
        } else {
            identity::settle(&shards).await?;
        }
        let map = Map::new(&shards);
        Ok(Self { shared: Arc::new(Shared { shards, map }) })
    }

    /// All databases, in the order of the list.
    pub fn each(&self) -> &[Postgres] {
        &self.shared.shards
    }

    /// As [`Postgres::write`], where the bucket is. While the bucket moves it waits, for
    /// less than a second as a rule.
    pub async fn write<T, E, F>(&self, bucket: Bucket, unit: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.route(bucket, Kind::Write, Freshness::Primary, &unit).await)
    }

    /// As [`Postgres::read`], where the bucket is.
    pub async fn read<T, E, F>(&self, bucket: Bucket, query: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        self.read_at(bucket, Freshness::Primary, query).await
    }

    /// As [`Postgres::look_up`], where the bucket is.
    pub async fn look_up<T, E, F>(&self, bucket: Bucket, query: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        self.look_up_at(bucket, Freshness::Primary, query).await
    }

    /// As [`Postgres::read_at`], where the bucket is. While the bucket moves, the primary
    /// is asked.
    pub async fn read_at<T, E, F>(
        &self,
        bucket: Bucket,
        freshness: Freshness,
        query: impl Fn(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.route(bucket, Kind::Read, freshness, &query).await)
    }

    /// As [`Postgres::look_up_at`], where the bucket is. While the bucket moves, the
    /// primary is asked.
    pub async fn look_up_at<T, E, F>(
        &self,
        bucket: Bucket,
        freshness: Freshness,
        query: impl Fn(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.route(bucket, Kind::LookUp, freshness, &query).await)
    }

    /// As [`Postgres::write`], for work on any of the buckets of one database. The unit
    /// has to leave the others' rows alone: `shard_has(bucket)` tells them apart.
    pub async fn sweep<T, E, F>(shard: &Postgres, unit: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(shard.write_behind(Door::All, &unit).await)
    }

    /// Does a unit where the bucket is, again if it turns out to be elsewhere. Whoever is
    /// turned away at the door has done nothing.
    async fn route<T, E, F>(
        &self,
        bucket: Bucket,
        kind: Kind,
        freshness: Freshness,
        unit: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let Shared { shards, map } = &*self.shared;
        let mut patience = Patience::begin();
        loop {
            let outcome = match map.route(bucket).await {
                Ok(route) => {
                    let shard = &shards[route.shard];
                    let door = route.is_moving.then_some(Door::Bucket(bucket));
                    match (kind, door) {
                        (Kind::Write, _) => shard.write_behind(Door::Bucket(bucket), unit).await,
                        (_, Some(door)) => shard.read_behind(door, unit).await,
                        (_, None) => shard.ask_at(kind, freshness, unit).await,
                    }
                }
                Err(error) => Err(error),
            };
            match outcome {
                Err(error @ (Error::Elsewhere(_) | Error::Frozen(_))) => {
                    map.forget();
                    patience.wait(error).await?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.shared.shards).finish()
    }
}
