//! What has changed at the old owner since it was copied.

use sqlx::{AssertSqlSafe, PgConnection};
use trellis_api::id::Bucket;

use super::{Way, key, unseen};
use crate::{Error, Tx, shards::map::numbers};

/// How often the list is worked off before writers have to wait.
const ROUNDS: u32 = 10;
/// So few are worked off in no time.
const FEW: usize = 20;

/// The changes of one moment of the old owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    sequences: Vec<i64>,
    /// In the order of the tables.
    tables: Vec<Changed>,
}

/// Of one table, as JSON.
#[derive(Clone, Debug, Default)]
struct Changed {
    /// The keys of all rows that changed.
    keys: String,
    /// Those of them that are still there, as they are now.
    rows: String,
}

impl Way<'_> {
    /// Works the list off until there is little in it.
    pub(super) async fn catch_up(&self, buckets: &[Bucket]) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            if self.apply(buckets).await? <= FEW {
                break;
            }
        }
        Ok(())
    }

    /// Works the list off as it is now, and says how long it was.
    pub(super) async fn apply(&self, buckets: &[Bucket]) -> Result<usize, Error> {
        let changes =
            self.from.read(|mut tx| async move { self.look(&mut tx, buckets).await }).await?;
        self.carry_over(&changes).await?;
        Ok(changes.sequences.len())
    }

    /// Rows and list are those of one moment, so what is referred to is there. Not what a
    /// row became is in the list but that it changed: so it does no harm to do this twice.
    pub(super) async fn carry_over(&self, changes: &Changes) -> Result<(), Error> {
        if !changes.sequences.is_empty() {
            self.to.write(|tx| self.write(tx, changes)).await?;
            self.from.write(|tx| forget(tx, &changes.sequences)).await?;
        }
        Ok(())
    }

    pub(super) async fn look(
        &self,
        tx: &mut PgConnection,
        buckets: &[Bucket],
    ) -> Result<Changes, Error> {
        let sequences: Vec<i64> =
            sqlx::query_scalar("SELECT sequence FROM shard_changes WHERE bucket = ANY ($1)")
                .bind(numbers(buckets))
                .fetch_all(&mut *tx)
                .await?;
        let mut changes = Changes { sequences, ..Changes::default() };
        if changes.sequences.is_empty() {
            return Ok(changes);
        }
        for relation in self.tables {
            let key = key(&mut *tx, relation).await?.join(", ");
            // Names of tables and columns cannot be bound. These are of the catalog and ours.
            let query = format!(
                "
                WITH changed AS (
                    SELECT DISTINCT key
                      FROM shard_changes
                     WHERE bucket = ANY ($1)
                       AND relation = $2
                )
                SELECT coalesce(json_agg(changed.key), '[]')::text,
                       coalesce((
                           SELECT json_agg(found)
                             FROM {relation} AS found
                            WHERE ({key}) IN (
                                  SELECT {key}
                                    FROM changed
                                   CROSS JOIN jsonb_populate_record(NULL::{relation}, changed.key)
                                  )
                       ), '[]')::text
                  FROM changed
                "
            );
            let (keys, rows) = sqlx::query_as(AssertSqlSafe(query))
                .bind(numbers(buckets))
                .bind(relation)
                .fetch_one(&mut *tx)
                .await?;
            changes.tables.push(Changed { keys, rows });
        }
        Ok(changes)
    }

    /// First what refers to others goes, then what is referred to comes.
    async fn write(&self, mut tx: Tx, changes: &Changes) -> Result<(), Error> {
        unseen(&mut tx).await?;
        for (relation, changed) in self.tables.iter().zip(&changes.tables).rev() {
            let key = key(&mut tx, relation).await?;
            let columns = key.join(", ");
            let delete = format!(
                "
                DELETE FROM {relation}
                 WHERE ({columns}) IN (
                       SELECT {columns} FROM json_populate_recordset(NULL::{relation}, $1::json)
                       )
                   AND ({columns}) NOT IN (
                       SELECT {columns} FROM json_populate_recordset(NULL::{relation}, $2::json)
                       )
                "
            );
            run(&mut tx, delete, &[&changed.keys, &changed.rows]).await?;
        }
        for (relation, changed) in self.tables.iter().zip(&changes.tables) {
            upsert(&mut tx, relation, &changed.rows).await?;
        }
        Ok(())
    }
}

/// Puts rows into a table, over those that have their keys.
async fn upsert(tx: &mut PgConnection, relation: &str, rows: &str) -> Result<(), Error> {
    let key = key(tx, relation).await?;
    let others: Vec<String> = sqlx::query_scalar(
        "
        SELECT attname::text
          FROM pg_attribute
         WHERE attrelid = $1::regclass
           AND 0 < attnum
           AND NOT attisdropped
           AND attname <> ALL ($2)
         ORDER BY attnum
        ",
    )
    .bind(relation)
    .bind(&key)
    .fetch_all(&mut *tx)
    .await?;
    let sets: Vec<_> = others.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let action = if sets.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", sets.join(", "))
    };
    let insert = format!(
        "
        INSERT INTO {relation}
        SELECT * FROM json_populate_recordset(NULL::{relation}, $1::json)
        ON CONFLICT ({}) DO {action}
        ",
        key.join(", ")
    );
    run(tx, insert, &[rows]).await
}

pub(super) async fn run(tx: &mut PgConnection, sql: String, texts: &[&str]) -> Result<(), Error> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for text in texts {
        query = query.bind(*text);
    }
    query.execute(tx).await?;
    Ok(())
}

async fn forget(mut tx: Tx, sequences: &[i64]) -> Result<(), Error> {
    sqlx::query("DELETE FROM shard_changes WHERE sequence = ANY ($1)")
        .bind(sequences)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
