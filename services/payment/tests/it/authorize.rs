//! Blocking money.

use futures::future::join_all;
use tonic::Code;
use trellis_api::error::reason;
use trellis_api::payment::v1 as pb;
use trellis_api::payment::v1::payment::State;

use crate::kit::{World, assert_declined, assert_failed, assert_refused, assert_unknown, pounds};

#[tokio::test]
async fn a_good_token_is_authorized() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    let payment = service.authorize(id, "tok_ok").await.unwrap();

    assert_eq!(payment.payment_id, id.to_string());
    assert_eq!(payment.state(), State::Authorized);
    assert_eq!(payment.amount, Some(pounds(1_250)));
    assert_eq!(service.get(id).await.unwrap(), payment);
    service.assert_sound().await;
}

#[tokio::test]
async fn every_bad_card_is_declined_with_its_code_and_stays_declined() {
    let world = World::new().await;
    let service = world.start().await;
    for (token, code) in [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
        ("tok_of_another_shop", "invalid_token"),
    ] {
        let id = world.new_id();

        assert_declined(service.authorize(id, token).await, code);
        assert_declined(service.authorize(id, token).await, code);

        let payment = service.get(id).await.unwrap();
        assert_eq!(payment.state(), State::Declined);
        assert_eq!(payment.decline_code, code);
    }
    service.assert_sound().await;
}

#[tokio::test]
async fn a_repeated_authorization_blocks_the_amount_once() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    let first = service.authorize(id, "tok_ok").await.unwrap();
    let again = service.authorize(id, "tok_ok").await.unwrap();

    assert_eq!(first, again);
    assert_eq!(service.tally(id).await.authorizations, 1);
}

#[tokio::test]
async fn sixty_four_calls_at_once_make_one_authorization() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    let answers = join_all((0..64).map(|_| service.authorize(id, "tok_ok"))).await;

    let first = service.get(id).await.unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap(), first);
    }
    assert_eq!(service.tally(id).await.authorizations, 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_out_by_asking_again() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    assert_unknown(service.authorize(id, "tok_unknown_once").await);
    assert_eq!(service.state(id).await, State::Authorizing);
    assert_eq!(service.tally(id).await.authorizations, 1);

    let payment = service.authorize(id, "tok_unknown_once").await.unwrap();

    assert_eq!(payment.state(), State::Authorized);
    assert_eq!(service.tally(id).await.authorizations, 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_lost_refusal_is_found_out_too() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();

    assert_unknown(service.authorize(id, "tok_unknown_once_declined").await);

    assert_declined(service.authorize(id, "tok_unknown_once_declined").await, "card_declined");
}

#[tokio::test]
async fn a_payment_id_is_for_one_amount_and_one_token() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    let declined = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.authorize(declined, "tok_declined").await.unwrap_err();

    for answer in [
        service.authorize_amount(id, "tok_ok", 1_251).await,
        service.authorize(id, "tok_slow").await,
        service.authorize(declined, "tok_ok").await,
    ] {
        assert_failed(answer, Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(service.state(id).await, State::Authorized);
}

#[tokio::test]
async fn an_authorization_that_was_captured_since_still_counts_as_one() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    let captured = service.capture(id).await.unwrap();

    assert_eq!(service.authorize(id, "tok_ok").await.unwrap(), captured);
}

#[tokio::test]
async fn a_card_number_is_refused_and_kept_nowhere() {
    let world = World::new().await;
    let service = world.start().await;
    for number in ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005"] {
        let id = world.new_id();

        let answer = service.authorize(id, number).await;

        let status = assert_failed(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert!(status.message().contains("card numbers are not accepted"), "{status:?}");
        assert!(!format!("{status:?}").contains(&number[..4]));
        assert_failed(service.get(id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    }
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let world = World::new().await;
    let service = world.start().await;
    let request = pb::AuthorizePaymentRequest {
        payment_id: "order_01h455vb4pex5vsknk084sn02q".to_owned(),
        amount: Some(pounds(0)),
        payment_token: String::new(),
    };

    let status = service.client.clone().authorize_payment(request).await.unwrap_err();

    assert_eq!(reason(&status).as_deref(), Some("INVALID_FIELD"));
    for field in ["payment_id", "amount.minor_units", "payment_token"] {
        assert!(status.message().contains(field), "{status:?}");
    }
    let far_too_much = service.authorize_amount(world.new_id(), "tok_ok", i64::MAX).await;
    assert_failed(far_too_much, Code::InvalidArgument, "INVALID_FIELD");
}

#[tokio::test]
async fn a_key_that_the_processor_has_forgotten_is_not_used_again() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_unknown_once").await.unwrap_err();

    world.clock.advance(std::time::Duration::from_hours(24));
    let payment = service.authorize(id, "tok_unknown_once").await.unwrap();

    // It was looked for, not asked for.
    assert_eq!(payment.state(), State::Authorized);
    assert_eq!(service.tally(id).await.authorizations, 1);
}

#[tokio::test]
async fn after_a_void_nothing_can_be_authorized() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.void(id).await.unwrap();

    assert_refused(service.authorize(id, "tok_ok").await, "PAYMENT_VOIDED");
}
