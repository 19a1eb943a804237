//! The service finds its own mistakes.

use trellis_api::payment::v1::payment::State;
use trellis_payment::Processor as _;
use uuid::Uuid;

use crate::kit::World;

#[tokio::test]
async fn the_audit_hands_out_every_payment_and_finds_nothing_wrong() {
    let world = World::new().await;
    let service = world.start().await;
    let mut captured = 0;
    for number in 0..520 {
        let id = world.new_id();
        match number % 4 {
            0 => {
                service.authorize(id, "tok_ok").await.unwrap();
                service.capture(id).await.unwrap();
                captured += 1;
            }
            1 => assert!(service.authorize(id, "tok_declined").await.is_err()),
            2 => assert!(service.void(id).await.is_ok()),
            _ => assert!(service.authorize(id, "tok_ok").await.is_ok()),
        }
    }

    let (checks, payments) = service.audit().await;

    assert_eq!(payments.len(), 520);
    assert!(payments.is_sorted_by(|a, b| a.payment_id < b.payment_id));
    let taken = payments.iter().filter(|payment| payment.state() == State::Captured).count();
    assert_eq!(taken, captured);
    let examined: Vec<_> =
        checks.iter().map(|check| (check.invariant.as_str(), check.examined)).collect();
    assert_eq!(
        examined,
        [
            ("no payment is captured twice", 520),
            ("the ledger balances", 130),
            ("money is conserved", 1),
            ("every captured payment stands in the ledger", 130),
        ]
    );
    assert!(checks.iter().all(|check| check.violations.is_empty()));
}

#[tokio::test]
async fn a_second_capture_at_the_processor_is_found() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();

    // A client that makes up a key for each attempt.
    let found = service.sandbox.find(id, None).await.unwrap().unwrap();
    let trellis_payment::processor::Authorization::Authorized(reference) = found else {
        panic!("the payment is authorized");
    };
    let amount = trellis_api::Money::new("GBP".parse().unwrap(), 1_250);
    service.sandbox.capture(Uuid::from_u128(1), &reference, amount).await.unwrap();

    let (checks, _) = service.audit().await;
    assert_eq!(checks[0].violations.len(), 1);
    assert_eq!(checks[0].violations[0].subject, id.to_string());
    assert!(checks[0].violations[0].detail.contains("2 captures"));
}

#[tokio::test]
async fn money_that_is_missing_from_the_ledger_is_found() {
    let world = World::new().await;
    let service = world.start().await;
    let (forgotten, doctored) = (world.new_id(), world.new_id());
    for id in [forgotten, doctored] {
        service.authorize(id, "tok_ok").await.unwrap();
    }
    service.capture(doctored).await.unwrap();
    service.stop().await;
    let tampering = "
        UPDATE payments SET state = 'captured' WHERE state = 'authorized';
        UPDATE ledger_postings SET minor_units = -1249 WHERE account = 'sales_revenue';
    ";
    if world.database.url().starts_with("sqlite:") {
        world.database.tamper("DROP TRIGGER ledger_postings_stay").await;
    }
    world.database.tamper(tampering).await;

    let service = world.start().await;
    let (checks, _) = service.audit().await;

    let subjects = |check: usize| -> Vec<&str> {
        checks[check].violations.iter().map(|violation| violation.subject.as_str()).collect()
    };
    assert_eq!(subjects(0), [] as [&str; 0]);
    assert_eq!(subjects(1), [doctored.to_string().as_str(), "GBP"]);
    assert_eq!(subjects(2), ["GBP", "GBP"]);
    // Once by the processor, once by the ledger.
    let forgotten = forgotten.to_string();
    assert_eq!(subjects(3), [forgotten.as_str(), forgotten.as_str()]);
}
