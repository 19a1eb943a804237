//! The store in one Postgres database.

mod baskets;
mod followers;
mod log;
mod views;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_events::dead_letter::{self, DeadLetters, PostgresDeadLetters};
use trellis_events::inbox::{self, Inbox, PostgresInbox};
use trellis_storage::{Error, Migration, Options, Postgres, PostgresUrl, Tx};

use super::{Changes, Follower, Forgotten, Retention, Store, Survey};
use crate::domain::{Basket, Position, View};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_recommendation",
        sql: include_str!("../../migrations/postgres/0001_recommendation.sql"),
    },
    inbox::postgres::MIGRATION,
    dead_letter::postgres::MIGRATION,
];

pub(super) struct PostgresStore {
    database: Postgres,
    /// An audit beside a running shop follows nothing.
    read_only: bool,
}

impl PostgresStore {
    pub(super) async fn open(url: &PostgresUrl, options: &Options) -> Result<Self, Error> {
        let database = Postgres::open(url, MIGRATIONS, options).await?;
        Ok(Self { database, read_only: options.read_only })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn keep_basket(
        &self,
        event_id: String,
        basket: Basket,
        now: OffsetDateTime,
    ) -> Result<Position, Error> {
        self.database.write(|tx| baskets::keep(tx, &event_id, &basket, now)).await
    }

    async fn count_view(
        &self,
        event_id: String,
        view: View,
        now: OffsetDateTime,
    ) -> Result<Position, Error> {
        self.database.write(|tx| views::count(tx, &event_id, &view, now)).await
    }

    /// Each step is one statement, and what lies before the horizon is complete, so no
    /// snapshot has to hold them together.
    async fn changes(&self, position: Position, limit: u32) -> Result<Changes, Error> {
        let mut changes = Changes { baskets: Vec::new(), views: Vec::new() };
        if position.covers(self.database.look_up(log::head).await?) {
            return Ok(changes);
        }
        let horizon = self.database.look_up(log::horizon).await?;
        if position.baskets < horizon.baskets {
            let from = position.baskets;
            let read = self.database.look_up(|tx| baskets::between(tx, from, horizon, limit));
            changes.baskets = read.await?;
        }
        if position.views < horizon.views {
            let from = position.views;
            let read = self.database.look_up(|tx| views::between(tx, from, horizon, limit));
            changes.views = read.await?;
        }
        Ok(changes)
    }

    async fn follow(&self, follower: Follower, now: OffsetDateTime) -> Result<Forgotten, Error> {
        if self.read_only {
            return self.database.look_up(followers::look).await;
        }
        self.database.write(|tx| followers::follow(tx, follower, now)).await
    }

    async fn forget(
        &self,
        follower: Follower,
        retention: Retention,
        limit: u32,
        now: OffsetDateTime,
    ) -> Result<Option<u32>, Error> {
        self.database.write(|tx| forget(tx, follower, retention, limit, now)).await
    }

    async fn survey(&self, sequence: i64, heard_since: OffsetDateTime) -> Result<Survey, Error> {
        self.database.read(|tx| baskets::survey(tx, sequence, heard_since)).await
    }

    async fn order_ids(&self, sequence: i64, limit: u32) -> Result<Vec<(i64, OrderId)>, Error> {
        let horizon = self.database.look_up(log::horizon).await?;
        self.database.look_up(|tx| baskets::order_ids(tx, sequence, horizon, limit)).await
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(PostgresInbox::new(self.database.clone()))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(PostgresDeadLetters::new(self.database.clone()))
    }
}

async fn forget(
    mut tx: Tx,
    follower: Follower,
    retention: Retention,
    limit: u32,
    now: OffsetDateTime,
) -> Result<Option<u32>, Error> {
    let learned = followers::learned_by_all(&mut tx, follower, retention.learned, now).await?;
    let Some(learned) = learned else { return Ok(None) };
    let retention = Retention { learned, ..retention };
    let baskets = baskets::forget(&mut tx, &retention, limit).await?;
    Ok(Some(baskets + views::forget(&mut tx, &retention, limit).await?))
}

/// A value that nothing here has written.
fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
