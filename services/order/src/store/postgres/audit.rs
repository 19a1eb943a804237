//! Looks for what breaks the service's promises.
//!
//! Each check reads a whole table, so this is for operators and tests.

use std::sync::LazyLock;

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::QueryAs;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::id::{OrderId, UserId};
use trellis_storage::{Error, Shards, Tx};
use uuid::Uuid;

use super::number;
use super::rows::{ORDER, OrderRow};
use crate::store::checks::{
    FINAL_ENDED, MOST_VIOLATIONS, NONE_STUCK, ONE_ORDER, PENDING_AT_WORK, STUCK,
};
use crate::store::{AUDIT_PAGE, AuditedOrder, Check};

/// An order, and what is wrong with it.
type Found = (Uuid, String);

/// Those of all databases, as if they were one.
pub(super) async fn run(shards: &Shards, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    let mut sum: Vec<Check> = Vec::new();
    for shard in shards.each() {
        let checks = shard.read(|tx| checks(tx, now)).await?;
        if sum.is_empty() {
            sum = checks;
            continue;
        }
        for (sum, check) in sum.iter_mut().zip(checks) {
            sum.examined += check.examined;
            sum.violations.extend(check.violations);
            sum.violations.truncate(MOST_VIOLATIONS as usize);
        }
    }
    Ok(sum)
}

async fn checks(mut tx: Tx, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    Ok(vec![
        stuck(&mut tx, now).await?,
        check(
            &mut tx,
            FINAL_ENDED,
            "SELECT count(*) FROM orders JOIN shard_here USING (bucket) WHERE state <> 'pending'",
            sqlx::query_as(
                "
                SELECT orders.order_id,
                       'the order is ' || orders.state || ', its ' || wanted.kind || ' is '
                       || coalesce(sagas.state, 'missing')
                  FROM orders
                  JOIN shard_here USING (bucket)
                  JOIN (VALUES ('checkout'), ('refund')) AS wanted (kind)
                    ON wanted.kind = 'checkout' OR orders.state = 'refunded'
                  LEFT JOIN sagas
                    ON sagas.bucket = orders.bucket
                   AND sagas.order_id = orders.order_id
                   AND sagas.kind = wanted.kind
                 WHERE orders.state <> 'pending'
                   AND coalesce(sagas.state, 'missing') <> 'done'
                 LIMIT $1
                ",
            ),
        )
        .await?,
        check(
            &mut tx,
            PENDING_AT_WORK,
            "SELECT count(*) FROM orders JOIN shard_here USING (bucket) WHERE state = 'pending'",
            sqlx::query_as(
                "
                SELECT orders.order_id, 'its checkout is ' || coalesce(sagas.state, 'missing')
                  FROM orders
                  JOIN shard_here USING (bucket)
                  LEFT JOIN sagas
                    ON sagas.bucket = orders.bucket
                   AND sagas.order_id = orders.order_id
                   AND sagas.kind = 'checkout'
                 WHERE orders.state = 'pending'
                   AND coalesce(sagas.state, 'missing') IN ('missing', 'done')
                 LIMIT $1
                ",
            ),
        )
        .await?,
        one_order(&mut tx).await?,
    ])
}

async fn stuck(tx: &mut PgConnection, now: OffsetDateTime) -> Result<Check, Error> {
    check(
        tx,
        NONE_STUCK,
        "SELECT count(*) FROM sagas JOIN shard_here USING (bucket) WHERE state <> 'done'",
        sqlx::query_as(
            "
            SELECT order_id,
                   'its ' || kind || ' is ' || state || ' at '
                   || CASE step WHEN '' THEN 'its start' ELSE step END || ' after ' || attempts
                   || ' attempts: ' || coalesce(last_error, 'no error')
              FROM sagas
              JOIN shard_here USING (bucket)
             WHERE state = 'needs_operator'
                OR (state IN ('running', 'compensating') AND next_attempt_time < $1)
             LIMIT $2
            ",
        )
        .bind(now - STUCK),
    )
    .await
}

async fn one_order(tx: &mut PgConnection) -> Result<Check, Error> {
    let examined = sqlx::query_scalar("SELECT count(*) FROM orders JOIN shard_here USING (bucket)")
        .fetch_one(&mut *tx)
        .await?;
    let found: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
        "
        SELECT request_id, count(*), user_id
          FROM orders
          JOIN shard_here USING (bucket)
         GROUP BY bucket, user_id, request_id
        HAVING 1 < count(*)
         LIMIT $1
        ",
    )
    .bind(i64::from(MOST_VIOLATIONS))
    .fetch_all(tx)
    .await?;
    let violation = |(request_id, count, user_id): (Uuid, i64, Uuid)| {
        (request_id.to_string(), format!("{count} orders of {}", UserId::from_uuid(user_id)))
    };
    let violations = found.into_iter().map(violation).collect();
    Ok(Check { invariant: ONE_ORDER, examined, violations })
}

/// The last parameter of `violations` is how many there may be.
async fn check(
    tx: &mut PgConnection,
    invariant: &'static str,
    count: &'static str,
    violations: QueryAs<'static, Postgres, Found, PgArguments>,
) -> Result<Check, Error> {
    let examined = sqlx::query_scalar(count).fetch_one(&mut *tx).await?;
    let found = violations.bind(i64::from(MOST_VIOLATIONS)).fetch_all(tx).await?;
    let violation = |(id, detail): Found| (OrderId::from_uuid(id).to_string(), detail);
    Ok(Check { invariant, examined, violations: found.into_iter().map(violation).collect() })
}

#[derive(FromRow)]
struct AuditedRow {
    #[sqlx(flatten)]
    order: OrderRow,
    next_attempt_time: Option<OffsetDateTime>,
}

/// Bucket by bucket, as the rows are found by, wherever a bucket is: one that moves
/// meanwhile keeps its place.
pub(super) async fn orders(
    shards: &Shards,
    after: Option<OrderId>,
) -> Result<Vec<AuditedOrder>, Error> {
    let mut found = Vec::new();
    for shard in shards.each() {
        found.extend(shard.look_up(|tx| page(tx, after)).await?);
    }
    found.sort_by_key(|audited| {
        let order_id = audited.order.order_id;
        (order_id.bucket(), order_id.uuid())
    });
    found.truncate(AUDIT_PAGE as usize);
    Ok(found)
}

async fn page(mut tx: Tx, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER},
                   (SELECT min(next_attempt_time)
                      FROM sagas
                     WHERE sagas.bucket = orders.bucket
                       AND sagas.order_id = orders.order_id
                       AND sagas.state IN ('running', 'compensating')) AS next_attempt_time
              FROM orders
              JOIN shard_here ON shard_here.bucket = orders.bucket
             WHERE ($1, $2) < (orders.bucket, orders.order_id)
             ORDER BY orders.bucket, orders.order_id
             LIMIT $3
            "
        )
    });
    let rows: Vec<AuditedRow> = sqlx::query_as(QUERY.as_str())
        .bind(after.map_or(-1, |id| number(id.bucket())))
        .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
        .bind(i64::from(AUDIT_PAGE))
        .fetch_all(&mut *tx)
        .await?;
    let audited = |row: AuditedRow| {
        Ok(AuditedOrder { order: row.order.order()?, next_attempt_time: row.next_attempt_time })
    };
    Ok(rows.into_iter().map(audited).collect::<Result<_, sqlx::Error>>()?)
}
