//! Leases of sagas that are at work.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use trellis_api::shop::v1::order::State;
use trellis_chassis::Clock as _;
use trellis_order::Settings;
use trellis_order::saga::{Lease, policy};
use trellis_storage::Faults;
use trellis_testkit::Database;
use uuid::Uuid;

use super::ground::{Ground, counting};
use super::shop::until;
use super::world::Call;

/// Recovery looks so seldom that it is a test that looks.
fn patient() -> Settings {
    Settings { recovery_interval_milliseconds: 3_600_000, ..Settings::default() }
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_saga_that_takes_long_keeps_its_lease() {
    let shop = Ground::new().await.open_with(patient(), counting()).await.unwrap();
    let gates = [shop.world().gate(Call::Authorize), shop.world().gate(Call::Authorize)];
    let order = shop.begin("tok_ok").await;
    shop.advance(Duration::from_secs(25));
    let commits = shop.faults.commits();

    // The first call runs into its deadline, and the heart beats.
    pass(policy::HEARTBEAT).await;
    until(async || shop.faults.commits() != commits).await;

    shop.advance(Duration::from_secs(6));
    let now = shop.ground.clock.now();
    let lease = Lease { owner: Uuid::new_v4(), until: now + policy::LEASE };
    assert!(shop.store.claim_due(lease, now, 32).await.unwrap().is_empty());
    for gate in gates {
        gate.open();
    }
    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
}

/// How many sessions of a database wait for a lock.
async fn waiting(connection: &mut PgConnection) -> i64 {
    let waiting = "
        SELECT count(*)
          FROM pg_stat_activity
         WHERE datname = current_database()
           AND wait_event_type = 'Lock'
    ";
    sqlx::query_scalar(waiting).fetch_one(connection).await.unwrap()
}

async fn until_waiting(connection: &mut PgConnection, sessions: i64) {
    let reached = async { while waiting(connection).await < sessions {} };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("they come to wait");
}

#[tokio::test]
async fn a_heartbeat_that_waits_for_the_saga_does_not_hold_up_the_work_that_has_it_locked() {
    let Some(database) = Database::postgres().await else { return };
    let ground = Ground::on(database);
    let shop = ground.open_with(patient(), Faults::default()).await.unwrap();
    let gate = shop.world().gate(Call::Capture);
    let order = shop.begin("tok_ok").await;
    gate.reached().await;
    pass(policy::HEARTBEAT / 2).await;
    // The end has locked the saga, and comes to wait for its request's record.
    let url = ground.database.url();
    let mut outside = PgConnection::connect(url).await.unwrap();
    let mut watcher = PgConnection::connect(url).await.unwrap();
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM idempotency FOR UPDATE");
    lock.execute(&mut outside).await.unwrap();
    gate.open();
    until_waiting(&mut watcher, 1).await;

    pass(policy::HEARTBEAT / 2).await;
    until_waiting(&mut watcher, 2).await;
    sqlx::raw_sql("COMMIT").execute(&mut outside).await.unwrap();

    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
    assert!(!ground.metrics.text().contains("\"busy\""), "{}", ground.metrics.text());
}
