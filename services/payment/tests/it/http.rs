//! The adapter for processors over the network, against a real HTTP server.

use std::sync::Arc;
use std::time::Duration;

use trellis_api::payment::v1::payment::State;
use trellis_payment::processor::Error;
use trellis_payment::{Processor, Reference};
use trellis_storage::Faults;
use uuid::Uuid;

use crate::kit::{Service, World, assert_declined, assert_refused, assert_unknown};
use crate::line::Line;
use crate::server::{PaymentIntents, Trouble};

fn processor(server: &PaymentIntents) -> Arc<dyn Processor> {
    Line::default().to(server, "sk_test")
}

async fn start(world: &World, server: &PaymentIntents) -> Service {
    let sandbox = world.sandbox(&Faults::default());
    world.start_over(&Faults::default(), sandbox, processor(server)).await
}

#[tokio::test]
async fn a_sale_goes_through_and_can_be_refunded() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let id = world.new_id();

    assert_eq!(service.authorize(id, "pm_card.visa-1").await.unwrap().state(), State::Authorized);
    assert_eq!(service.capture(id).await.unwrap().state(), State::Captured);
    assert_eq!(service.refund(id).await.unwrap().state(), State::Refunded);

    server.look(|books| {
        let (_, path, form) = &books.requests[0];
        assert_eq!(path, "/v1/payment_intents");
        let fields: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            fields,
            [
                ("amount", "1250"),
                ("capture_method", "manual"),
                ("confirm", "true"),
                ("currency", "gbp"),
                ("metadata[payment_id]", &*id.to_string()),
                ("payment_method", "pm_card.visa-1"),
            ]
        );
        assert_eq!(books.requests[1].1, "/v1/payment_intents/pi_1/capture");
        assert_eq!((books.intents["pi_1"].captures, books.refunds), (1, 1));
    });
    service.assert_sound().await;
}

#[tokio::test]
async fn a_refusal_is_a_decline_with_its_code() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;

    assert_declined(service.authorize(world.new_id(), "pm_declined").await, "lost_card");
    assert_declined(service.authorize(world.new_id(), "pm_unknown").await, "resource_missing");
}

#[tokio::test]
async fn whatever_hides_the_answer_the_payment_is_made_once() {
    for trouble in [
        Trouble::LostAnswer,
        Trouble::Status(500),
        Trouble::Status(503),
        Trouble::Refused(409),
        Trouble::Refused(429),
        Trouble::EndlessAnswer,
        Trouble::Silence,
    ] {
        let (world, server) = (World::new().await, PaymentIntents::start().await);
        let service = start(&world, &server).await;
        let id = world.new_id();

        server.trouble([trouble]);
        assert_unknown(service.authorize(id, "pm_card").await);
        service.authorize(id, "pm_card").await.unwrap();
        server.trouble([trouble]);
        assert_unknown(service.capture(id).await);
        service.capture(id).await.unwrap();
        server.trouble([trouble]);
        assert_unknown(service.refund(id).await);
        service.refund(id).await.unwrap();

        server.look(|books| {
            assert_eq!(books.intents.len(), 1, "{trouble:?}");
            assert_eq!((books.intents["pi_1"].captures, books.refunds), (1, 1), "{trouble:?}");
        });
        service.assert_sound().await;
    }
}

#[tokio::test]
async fn an_authorization_whose_answer_was_lost_is_let_go_by_a_void() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let id = world.new_id();
    server.trouble([Trouble::LostAnswer, Trouble::LostAnswer, Trouble::LostAnswer]);

    assert_unknown(service.authorize(id, "pm_card").await);
    assert_unknown(service.void(id).await);
    assert_unknown(service.void(id).await);
    assert_eq!(service.void(id).await.unwrap().state(), State::Voided);

    server.look(|books| {
        assert_eq!(books.intents.len(), 1);
        assert_eq!(books.intents["pi_1"].status, "canceled");
    });
    assert_refused(service.authorize(id, "pm_card").await, "PAYMENT_VOIDED");
}

#[tokio::test]
async fn a_void_that_finds_the_money_taken_says_so() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let id = world.new_id();
    service.authorize(id, "pm_card").await.unwrap();
    server.trouble([Trouble::LostAnswer]);
    assert_unknown(service.capture(id).await);

    assert_refused(service.void(id).await, "PAYMENT_CAPTURED");

    assert_eq!(service.state(id).await, State::Captured);
    service.assert_sound().await;
}

#[tokio::test]
async fn an_authorization_that_was_cancelled_elsewhere_cannot_be_captured_and_is_voided() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let id = world.new_id();
    service.authorize(id, "pm_card").await.unwrap();
    server.look(|books| books.intents.get_mut("pi_1").unwrap().status = "canceled");

    assert_refused(service.capture(id).await, "CAPTURE_FAILED");
    assert_eq!(service.void(id).await.unwrap().state(), State::Voided);
}

#[tokio::test]
async fn a_payment_with_an_old_key_is_searched_for_and_not_made_again() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let (made, not_made) = (world.new_id(), world.new_id());
    server.trouble([Trouble::LostAnswer, Trouble::Refused(429)]);
    assert_unknown(service.authorize(made, "pm_card").await);
    assert_unknown(service.authorize(not_made, "pm_card").await);

    world.clock.advance(Duration::from_hours(25));

    assert_eq!(service.authorize(made, "pm_card").await.unwrap().state(), State::Authorized);
    assert_declined(service.authorize(not_made, "pm_card").await, "authorization_expired");
    server.look(|books| assert_eq!(books.intents.len(), 1));
}

#[tokio::test]
async fn a_failure_that_the_processor_repeats_is_looked_into() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let (taken, let_go) = (world.new_id(), world.new_id());

    for id in [taken, let_go] {
        server.trouble([Trouble::Broken]);
        assert_unknown(service.authorize(id, "pm_card").await);
        service.authorize(id, "pm_card").await.unwrap();
    }
    server.trouble([Trouble::Broken]);
    assert_unknown(service.capture(taken).await);
    service.capture(taken).await.unwrap();
    server.trouble([Trouble::Broken]);
    assert_unknown(service.void(let_go).await);
    service.void(let_go).await.unwrap();

    server.look(|books| {
        let statuses: Vec<_> = books.intents.values().map(|intent| intent.status).collect();
        assert_eq!(statuses, ["succeeded", "canceled"]);
    });
    service.assert_sound().await;
}

#[tokio::test]
async fn the_reconciler_asks_again_with_the_same_key() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    let id = world.new_id();
    server.trouble([Trouble::LostAnswer]);
    assert_unknown(service.authorize(id, "pm_card").await);

    world.clock.advance(Duration::from_secs(31));
    assert_eq!(service.reconcile().await, 1);

    assert_eq!(service.state(id).await, State::Authorized);
    server.look(|books| assert_eq!(books.intents.len(), 1));
}

#[tokio::test]
async fn a_processor_that_is_away_leaves_the_outcome_unknown() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let service = start(&world, &server).await;
    drop(server);
    let id = world.new_id();

    assert_unknown(service.authorize(id, "pm_card").await);
    assert_eq!(service.state(id).await, State::Authorizing);
}

#[tokio::test]
async fn a_wrong_key_is_no_decline() {
    let (world, server) = (World::new().await, PaymentIntents::start().await);
    let line = Line::default();
    let sandbox = world.sandbox(&Faults::default());
    let service = world.start_over(&Faults::default(), sandbox, line.to(&server, "sk_other")).await;

    for _ in 0..10 {
        assert_unknown(service.authorize(world.new_id(), "pm_card").await);
    }

    assert_eq!(server.look(|books| books.strangers), 10, "nor is the processor down");
}

#[tokio::test]
async fn a_reference_stays_one_segment_of_the_path() {
    let server = PaymentIntents::start().await;
    let odd = Reference::new("../refunds?x=1");

    let answer = processor(&server).void(Uuid::from_u128(1), &odd).await;

    assert!(matches!(answer, Err(Error::Unknown(_) | Error::Invalid(_))));
    server.look(|books| {
        assert_eq!(books.requests[0].1, "/v1/payment_intents/%2E%2E%2Frefunds%3Fx%3D1/cancel");
    });
}
