//! Looks for what breaks the service's promises.

use std::sync::LazyLock;

use rusqlite::{Connection, Params, params};
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_storage::{Error, from_micros, micros};

use super::rows::{self, ORDER, ORDER_COLUMNS};
use crate::store::checks::{
    FINAL_ENDED, MOST_VIOLATIONS, NONE_STUCK, ONE_ORDER, PENDING_AT_WORK, STUCK,
};
use crate::store::{AUDIT_PAGE, AuditedOrder, Check};

pub(super) fn checks(tx: &Connection, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    Ok(vec![
        stuck(tx, now)?,
        check(
            tx,
            FINAL_ENDED,
            "SELECT count(*) FROM orders WHERE state <> 'pending'",
            "
            SELECT orders.order_id,
                   'the order is ' || orders.state || ', its ' || wanted.kind || ' is '
                   || ifnull(sagas.state, 'missing')
              FROM orders
              JOIN (SELECT 'checkout' AS kind UNION ALL SELECT 'refund') AS wanted
                ON wanted.kind = 'checkout' OR orders.state = 'refunded'
              LEFT JOIN sagas ON sagas.order_id = orders.order_id AND sagas.kind = wanted.kind
             WHERE orders.state <> 'pending'
               AND ifnull(sagas.state, 'missing') <> 'done'
            ",
            (),
        )?,
        check(
            tx,
            PENDING_AT_WORK,
            "SELECT count(*) FROM orders WHERE state = 'pending'",
            "
            SELECT orders.order_id, 'its checkout is ' || ifnull(sagas.state, 'missing')
              FROM orders
              LEFT JOIN sagas ON sagas.order_id = orders.order_id AND sagas.kind = 'checkout'
             WHERE orders.state = 'pending'
               AND ifnull(sagas.state, 'missing') IN ('missing', 'done')
            ",
            (),
        )?,
        check(
            tx,
            ONE_ORDER,
            "SELECT count(*) FROM orders",
            "
            SELECT request_id, count(*) || ' orders of ' || user_id
              FROM orders
             GROUP BY user_id, request_id
            HAVING 1 < count(*)
            ",
            (),
        )?,
    ])
}

fn stuck(tx: &Connection, now: OffsetDateTime) -> Result<Check, Error> {
    check(
        tx,
        NONE_STUCK,
        "SELECT count(*) FROM sagas WHERE state <> 'done'",
        "
        SELECT order_id,
               'its ' || kind || ' is ' || state || ' at ' || iif(step = '', 'its start', step)
               || ' after ' || attempts || ' attempts: ' || ifnull(last_error, 'no error')
          FROM sagas
         WHERE state = 'needs_operator'
            OR (state IN ('running', 'compensating') AND next_attempt_time < ?1)
        ",
        [micros(now - STUCK)],
    )
}

fn check(
    tx: &Connection,
    invariant: &'static str,
    count: &str,
    violations: &str,
    parameters: impl Params,
) -> Result<Check, Error> {
    let examined = tx.query_row(count, (), |row| row.get(0))?;
    let mut statement = tx.prepare(violations)?;
    let violations = statement
        .query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?
        .take(MOST_VIOLATIONS as usize)
        .collect::<Result<_, _>>()?;
    Ok(Check { invariant, examined, violations })
}

pub(super) fn page(tx: &Connection, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER},
                   (SELECT min(next_attempt_time)
                      FROM sagas
                     WHERE sagas.order_id = orders.order_id
                       AND sagas.state IN ('running', 'compensating'))
              FROM orders
             WHERE ?1 < orders.order_id
             ORDER BY orders.order_id
             LIMIT ?2
            "
        )
    });
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut statement = tx.prepare_cached(&QUERY)?;
    let orders = statement.query_map(params![after, AUDIT_PAGE], |row| {
        let next_attempt_time: Option<i64> = row.get(ORDER_COLUMNS)?;
        Ok(AuditedOrder {
            order: rows::order(row)?,
            next_attempt_time: next_attempt_time.map(from_micros),
        })
    })?;
    Ok(orders.collect::<Result<_, _>>()?)
}
