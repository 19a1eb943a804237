//! Payments that nobody asks about any more.

use std::time::Duration;

use trellis_api::payment::v1::payment::State;
use trellis_payment::Processor as _;
use trellis_payment::processor::Charge;
use trellis_storage::{Faults, When};

use crate::kit::{World, assert_declined, assert_unknown};

const LATER: Duration = Duration::from_secs(31);

#[tokio::test]
async fn unknown_outcomes_are_found_out_after_a_while() {
    let world = World::new().await;
    let service = world.start().await;
    let authorized = world.new_id();
    let declined = world.new_id();
    assert_unknown(service.authorize(authorized, "tok_unknown_once").await);
    assert_unknown(service.authorize(declined, "tok_unknown_once_declined").await);

    assert_eq!(service.reconcile().await, 0, "a caller may still be at it");
    world.clock.advance(LATER);
    assert_eq!(service.reconcile().await, 2);

    assert_eq!(service.state(authorized).await, State::Authorized);
    assert_eq!(service.state(declined).await, State::Declined);
    assert_eq!(service.reconcile().await, 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn what_the_processor_never_saw_waits_for_its_caller() {
    let world = World::new().await;
    let (healthy, down) = (Faults::default(), Faults::crash(1, When::BeforeCommit));
    let service = world.start_with(&healthy, &down).await;
    let id = world.new_id();
    assert_unknown(service.authorize(id, "tok_ok").await);
    service.stop().await;

    let service = world.start().await;
    world.clock.advance(LATER);
    assert_eq!(service.reconcile().await, 0);
    assert_eq!(service.state(id).await, State::Authorizing);

    service.authorize(id, "tok_ok").await.unwrap();
    assert_eq!(service.tally(id).await.authorizations, 1);
}

#[tokio::test]
async fn a_void_that_was_cut_off_is_finished() {
    let world = World::new().await;
    // The sandbox is gone at its second commit, which is the void.
    let (healthy, down) = (Faults::default(), Faults::crash(2, When::BeforeCommit));
    let service = world.start_with(&healthy, &down).await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    assert_unknown(service.void(id).await);
    assert_eq!(service.state(id).await, State::Voiding);
    world.clock.advance(LATER);
    assert_eq!(service.reconcile().await, 0, "the processor is still away");
    service.stop().await;

    let service = world.start().await;
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(service.reconcile().await, 1);

    assert_eq!(service.state(id).await, State::Voided);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_authorization_that_turns_up_after_its_void_is_let_go() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.void(id).await.unwrap();
    // As if the records of it had been lost with a disk.
    let charge = Charge {
        payment: id,
        amount: trellis_api::Money::new("GBP".parse().unwrap(), 1_250),
        token: "tok_ok".parse().unwrap(),
    };
    service.sandbox.authorize(&charge).await.unwrap();

    world.clock.advance(LATER);
    assert_eq!(service.reconcile().await, 1);

    assert_eq!(service.state(id).await, State::Voided);
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(service.reconcile().await, 0);
}

#[tokio::test]
async fn payments_that_cannot_be_settled_do_not_hold_up_the_others() {
    let world = World::new().await;
    let (healthy, down) = (Faults::default(), Faults::crash(1, When::BeforeCommit));
    let service = world.start_with(&healthy, &down).await;
    for _ in 0..200 {
        assert_unknown(service.authorize(world.new_id(), "tok_ok").await);
    }
    service.stop().await;

    let service = world.start().await;
    let good = world.new_id();
    assert_unknown(service.authorize(good, "tok_unknown_once_declined").await);
    world.clock.advance(LATER);

    assert_eq!(service.reconcile().await, 1);
    assert_declined(service.authorize(good, "tok_unknown_once_declined").await, "card_declined");
    assert_eq!(service.reconcile().await, 0, "all others are put off");
}
