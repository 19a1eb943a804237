//! Letting go of money.

use std::sync::Arc;

use tokio::sync::Notify;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_api::payment::v1::payment::State;
use trellis_payment::processor::{
    Authorization, Capture, Charge, Error, Refund, Release, Sandbox, Tally,
};
use trellis_payment::{Processor, Reference};
use trellis_storage::Faults;
use uuid::Uuid;

use crate::kit::{World, assert_refused, assert_unknown};

#[tokio::test]
async fn a_void_lets_go_of_what_was_authorized_and_may_be_repeated() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();

    let first = service.void(id).await.unwrap();
    let again = service.void(id).await.unwrap();

    assert_eq!(first.state(), State::Voided);
    assert_eq!(first, again);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_void_that_comes_first_refuses_the_authorization() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    let tombstone = service.void(id).await.unwrap();
    assert_eq!(tombstone.state(), State::Voided);
    assert_eq!(tombstone.amount, None);

    assert_refused(service.authorize(id, "tok_ok").await, "PAYMENT_VOIDED");
    assert_eq!(service.tally(id).await.authorizations, 0);
    assert_eq!(service.void(id).await.unwrap(), tombstone);
}

#[tokio::test]
async fn an_authorization_of_unknown_outcome_is_found_and_let_go() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    assert_unknown(service.authorize(id, "tok_unknown_once").await);

    assert_eq!(service.void(id).await.unwrap().state(), State::Voided);

    assert_refused(service.authorize(id, "tok_unknown_once").await, "PAYMENT_VOIDED");
    assert_refused(service.capture(id).await, "PAYMENT_VOIDED");
    service.assert_sound().await;
}

#[tokio::test]
async fn a_declined_payment_has_nothing_to_let_go_of() {
    let world = World::new().await;
    let service = world.start().await;
    let known = world.new_id();
    let unknown = world.new_id();
    service.authorize(known, "tok_declined").await.unwrap_err();
    assert_unknown(service.authorize(unknown, "tok_unknown_once_declined").await);

    for id in [known, unknown] {
        let payment = service.void(id).await.unwrap();
        assert_eq!(payment.state(), State::Declined);
        assert_eq!(payment.decline_code, "card_declined");
    }
}

#[tokio::test]
async fn money_that_has_moved_is_not_voided() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();

    assert_refused(service.void(id).await, "PAYMENT_CAPTURED");
    assert_eq!(service.state(id).await, State::Captured);
}

#[tokio::test]
async fn a_void_after_a_capture_whose_answer_was_lost_finds_the_money_taken() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_capture_unknown_once").await.unwrap();
    assert_unknown(service.capture(id).await);

    assert_refused(service.void(id).await, "PAYMENT_CAPTURED");

    assert_eq!(service.state(id).await, State::Captured);
    assert_eq!(service.refund(id).await.unwrap().state(), State::Refunded);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_authorization_that_is_under_way_when_the_void_comes_is_let_go() {
    let world = World::new().await;
    let sandbox = world.sandbox(&Faults::default());
    let slow =
        Arc::new(Slow { sandbox: sandbox.clone(), reached: Notify::new(), go_on: Notify::new() });
    let service = world.start_over(&Faults::default(), sandbox, slow.clone()).await;
    let id = world.new_id();

    let void = async {
        slow.reached.notified().await;
        assert_unknown(service.void(id).await);
        assert_eq!(service.state(id).await, State::Voiding);
        slow.go_on.notify_one();
    };
    let (authorized, ()) = tokio::join!(service.authorize(id, "tok_ok"), void);

    assert_refused(authorized, "PAYMENT_VOIDED");
    assert_eq!(service.state(id).await, State::Voided);
    service.assert_sound().await;
}

/// A line to the sandbox on which the first authorization is slow, and on which
/// nothing else gets through meanwhile.
struct Slow {
    sandbox: Sandbox,
    reached: Notify,
    go_on: Notify,
}

#[async_trait::async_trait]
impl Processor for Slow {
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, Error> {
        let known = self.sandbox.find(charge.payment, None).await?.is_some();
        let answer = self.sandbox.authorize(charge).await?;
        if known {
            return Err(Error::unknown("the line is busy"));
        }
        self.reached.notify_one();
        self.go_on.notified().await;
        Ok(answer)
    }

    async fn capture(&self, key: Uuid, of: &Reference, amount: Money) -> Result<Capture, Error> {
        self.sandbox.capture(key, of, amount).await
    }

    async fn void(&self, key: Uuid, of: &Reference) -> Result<Release, Error> {
        self.sandbox.void(key, of).await
    }

    async fn refund(&self, key: Uuid, of: &Reference, amount: Money) -> Result<Refund, Error> {
        self.sandbox.refund(key, of, amount).await
    }

    async fn find(
        &self,
        payment: PaymentId,
        charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, Error> {
        self.sandbox.find(payment, charge).await
    }

    async fn tally(&self, payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, Error> {
        self.sandbox.tally(payments).await
    }
}
