//! The store in one SQLite file.

mod baskets;
mod views;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Row;
use rusqlite::types::Type;
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_events::dead_letter::{self, DeadLetters, SqliteDeadLetters};
use trellis_events::inbox::{self, Inbox, SqliteInbox};
use trellis_storage::{Error, Migration, Options, Sqlite, from_micros};

use super::{Changes, Follower, Forgotten, Retention, Store, Survey};
use crate::domain::{Basket, Position, View};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_recommendation",
        sql: include_str!("../../migrations/sqlite/0001_recommendation.sql"),
    },
    inbox::MIGRATION,
    dead_letter::MIGRATION,
];

pub(super) struct SqliteStore {
    database: Sqlite,
}

impl SqliteStore {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        Ok(Self { database: Sqlite::open(path, MIGRATIONS, options)? })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn keep_basket(
        &self,
        event_id: String,
        basket: Basket,
        now: OffsetDateTime,
    ) -> Result<Position, Error> {
        self.database.write(move |tx| baskets::keep(tx, &event_id, &basket, now)).await
    }

    async fn count_view(
        &self,
        event_id: String,
        view: View,
        now: OffsetDateTime,
    ) -> Result<Position, Error> {
        self.database.write(move |tx| views::count(tx, &event_id, &view, now)).await
    }

    async fn changes(&self, position: Position, limit: u32) -> Result<Changes, Error> {
        self.database
            .read(move |tx| {
                Ok(Changes {
                    baskets: baskets::after(tx, position.baskets, limit)?,
                    views: views::after(tx, position.views, limit)?,
                })
            })
            .await
    }

    /// A file has one process, and that one model, which alone has to be waited for.
    async fn follow(&self, _follower: Follower, _now: OffsetDateTime) -> Result<Forgotten, Error> {
        self.database.read(baskets::forgotten).await
    }

    async fn forget(
        &self,
        _follower: Follower,
        retention: Retention,
        limit: u32,
        _now: OffsetDateTime,
    ) -> Result<Option<u32>, Error> {
        self.database
            .write(move |tx| {
                let baskets = baskets::forget(tx, &retention, limit)?;
                Ok(Some(baskets + views::forget(tx, &retention, limit)?))
            })
            .await
    }

    async fn survey(&self, sequence: i64, heard_since: OffsetDateTime) -> Result<Survey, Error> {
        self.database.read(move |tx| baskets::survey(tx, sequence, heard_since)).await
    }

    async fn order_ids(&self, sequence: i64, limit: u32) -> Result<Vec<(i64, OrderId)>, Error> {
        self.database.read(move |tx| baskets::order_ids(tx, sequence, limit)).await
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(SqliteInbox::new(self.database.clone()))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(SqliteDeadLetters::new(self.database.clone()))
    }
}

/// A text that was written from a `T`.
fn parse<T>(column: usize, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    row.get(column).map(from_micros)
}
