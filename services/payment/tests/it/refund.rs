//! Giving money back.

use futures::future::join_all;
use tonic::Code;
use trellis_api::payment::v1::payment::State;

use crate::kit::{World, assert_failed, assert_refused};

#[tokio::test]
async fn a_refund_gives_everything_back_once() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();

    let answers = join_all((0..8).map(|_| service.refund(id))).await;

    for answer in answers {
        assert_eq!(answer.unwrap().state(), State::Refunded);
    }
    let books = service.store.books().await.unwrap();
    assert_eq!(books.entries, 2);
    assert_eq!((books.sums[0].captured, books.sums[0].refunded), (1_250, 1_250));
    assert_eq!(service.tally(id).await.refunds, 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn only_what_was_captured_can_be_refunded() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    assert_failed(service.refund(id).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    service.authorize(id, "tok_ok").await.unwrap();

    assert_refused(service.refund(id).await, "PAYMENT_NOT_CAPTURED");
}

#[tokio::test]
async fn a_refunded_payment_keeps_the_answers_it_gave_before() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();
    let refunded = service.refund(id).await.unwrap();

    assert_eq!(service.authorize(id, "tok_ok").await.unwrap(), refunded);
    assert_eq!(service.capture(id).await.unwrap(), refunded);
    assert_refused(service.void(id).await, "PAYMENT_CAPTURED");
}
