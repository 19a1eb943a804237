//! Looks for what breaks the service's promises.

use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, Params, params};
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_events::outbox::Backlog;
use trellis_storage::{Error, from_micros, micros};

use super::rows::{self, ORDER, ORDER_COLUMNS};
use crate::store::{AUDIT_PAGE, AuditedOrder, Check};

/// How long after its time a saga may be untouched, and how long an event may be underway.
const STUCK: Duration = Duration::from_mins(5);
const UNDELIVERED: Duration = Duration::from_secs(30);

/// More would not make a broken promise any clearer.
const MOST_VIOLATIONS: usize = 100;

pub(super) fn checks(tx: &Connection, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    Ok(vec![
        stuck(tx, now)?,
        check(
            tx,
            "every final order has an ended saga",
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
            "every pending order has a saga at work",
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
            "no request made two orders",
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
        "no saga is stuck",
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

pub(super) fn undelivered(backlog: Backlog, now: OffsetDateTime) -> Check {
    let mut violations = Vec::new();
    if let Some(oldest) = backlog.oldest.filter(|oldest| *oldest < now - UNDELIVERED) {
        let detail = format!("{} events wait, the oldest since {oldest}", backlog.count);
        violations.push(("outbox".to_owned(), detail));
    }
    Check {
        invariant: "no event of an order is undelivered",
        examined: i64::try_from(backlog.count).unwrap_or(i64::MAX),
        violations,
    }
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
        .take(MOST_VIOLATIONS)
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
