//! What is read of an outbox in Postgres, however much is in it.

use trellis_chassis::Clock as _;
use trellis_events::outbox::{self, Outbox as _, PostgresOutbox, Settlement, Verdict};
use trellis_events::relay::{BATCH, LEASE};
use trellis_storage::lease::postgres as lease;
use trellis_storage::{Error, Options, Postgres, Tx, Url};
use trellis_testkit::postgres;
use uuid::Uuid;

use crate::world::clock;

/// Much was published, and the statistics are of that time; now much waits.
const FILL: &str = "
    CREATE FUNCTION fill(count integer, published timestamptz) RETURNS void LANGUAGE sql AS $$
        INSERT INTO outbox (bucket, event_id, kind, subject, payload, headers, create_time,
                            next_attempt_time, published_time)
        SELECT 1, gen_random_uuid(), 'order.confirmed', 'order', '', '{}',
               '2026-11-22 09:00Z', '2026-11-22 09:00Z', published
          FROM generate_series(1, count)
    $$;
    SELECT fill(5000, '2026-11-22 09:00Z');
    ANALYZE outbox;
    SELECT fill(20000, NULL)";

#[tokio::test]
async fn a_batch_is_settled_without_a_look_at_what_else_waits() {
    let Some(server) = postgres::shared().await else { return };
    let url = server.database().await;
    // One connection: counts are told when it is asked for them.
    let options = Options { connections: 1, ..Options::default() };
    let migrations = [lease::MIGRATION, outbox::postgres::MIGRATION, outbox::postgres::RECEIPTS];
    let Ok(Url::Postgres(parsed)) = url.parse() else { panic!("it is a Postgres") };
    let database = Postgres::open(&parsed, &migrations, &options).await.unwrap();
    postgres::execute(&url, FILL).await;
    let (outbox, now) = (PostgresOutbox::new(database.clone()), clock().now());

    let claim = outbox.claim(Uuid::from_u128(1), LEASE, now).await.unwrap().unwrap();
    // So often that the server may keep a plan.
    for _ in 0..8 {
        let due = outbox.due(now, BATCH).await.unwrap();
        let settled = |row: &outbox::Due| Settlement {
            sequence: row.sequence,
            verdict: Verdict::Published(None),
        };
        let settlements = due.iter().map(settled).collect();
        assert!(outbox.settle(claim, settlements, now).await.unwrap());
    }

    let batches = i64::from(8 * BATCH);
    let (updated, read) = loop {
        let counts = database.look_up(counts).await.unwrap();
        if batches <= counts.0 {
            break counts;
        }
    };
    assert_eq!(updated, batches);
    // Once to find what is due, and once to settle it; and what is left behind there.
    assert!(read <= 8 * batches, "{read} rows were read for {batches}");
}

/// How many rows were updated, and how many were read by indexes or one after the other.
async fn counts(mut tx: Tx) -> Result<(i64, i64), Error> {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut *tx).await?;
    let counts = sqlx::query_as(
        "SELECT n_tup_upd,
                seq_tup_read + (SELECT sum(idx_tup_read)::bigint
                                  FROM pg_stat_user_indexes
                                 WHERE relname = 'outbox')
           FROM pg_stat_user_tables
          WHERE relname = 'outbox'",
    );
    Ok(counts.fetch_one(&mut *tx).await?)
}
