//! What the sandbox does that the service does not show.

use tokio::time::{Duration, Instant};
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_payment::processor::{Authorization, Charge, Error, Refund, Release};
use trellis_payment::{Code, Processor as _, Reference};
use trellis_storage::Faults;
use trellis_testkit::Database;
use uuid::Uuid;

use crate::kit::World;

/// The sandbox's books are in a file, whatever the shop's are in.
fn world() -> World {
    World::on(Database::sqlite("payment"))
}

fn charge(payment: PaymentId, token: &str, minor_units: i64) -> Charge {
    let amount = Money::new("GBP".parse().unwrap(), minor_units);
    Charge { payment, amount, token: token.parse().unwrap() }
}

#[tokio::test(start_paused = true)]
async fn a_slow_card_is_answered_after_three_seconds_and_a_repetition_at_once() {
    let world = world();
    let sandbox = world.sandbox(&Faults::default());
    let charge = charge(world.new_id(), "tok_slow", 1);
    let start = Instant::now();

    let first = sandbox.authorize(&charge).await.unwrap();
    let slow = start.elapsed();
    let again = sandbox.authorize(&charge).await.unwrap();

    assert!((Duration::from_secs(3)..Duration::from_millis(3_100)).contains(&slow), "{slow:?}");
    assert_eq!(start.elapsed(), slow);
    assert_eq!(first, again);
}

#[tokio::test]
async fn keys_are_remembered_over_a_restart() {
    let world = world();
    let charge = charge(world.new_id(), "tok_unknown_once", 1);
    let sandbox = world.sandbox(&Faults::default());
    assert!(matches!(sandbox.authorize(&charge).await, Err(Error::Unknown(_))));
    drop(sandbox);

    let sandbox = world.sandbox(&Faults::default());
    let answer = sandbox.authorize(&charge).await.unwrap();

    assert!(matches!(answer, Authorization::Authorized(_)));
    assert_eq!(sandbox.audit().await.unwrap()[0].authorizations, 1);
}

#[tokio::test]
async fn a_key_with_other_content_is_a_mistake() {
    let world = world();
    let sandbox = world.sandbox(&Faults::default());
    let id = world.new_id();
    sandbox.authorize(&charge(id, "tok_ok", 1)).await.unwrap();

    for other in [charge(id, "tok_ok", 2), charge(id, "tok_declined", 1)] {
        assert!(matches!(sandbox.authorize(&other).await, Err(Error::Invalid(_))));
    }
}

#[tokio::test]
async fn the_sandbox_refuses_what_a_processor_would_refuse() {
    let world = world();
    let sandbox = world.sandbox(&Faults::default());
    let asked = charge(world.new_id(), "tok_ok", 1);
    let key = Uuid::from_u128(1);
    let Authorization::Authorized(reference) = sandbox.authorize(&asked).await.unwrap() else {
        panic!("tok_ok is authorized");
    };

    let early = sandbox.refund(key, &reference, asked.amount).await.unwrap();
    assert_eq!(early, Refund::Refused(Code::new("not_captured")));
    let partial = sandbox.capture(key, &reference, Money::zero(asked.amount.currency())).await;
    assert!(matches!(partial, Err(Error::Invalid(_))));
    for nonsense in ["", "pi_1", "payment_x.key"] {
        let answer = sandbox.capture(key, &Reference::new(nonsense), asked.amount).await;
        assert!(matches!(answer, Err(Error::Invalid(_))));
    }
    sandbox.capture(key, &reference, asked.amount).await.unwrap();
    assert_eq!(sandbox.void(key, &reference).await.unwrap(), Release::Captured);
}
