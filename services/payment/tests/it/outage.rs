//! A processor that is down, or asks not to be called: then it is not called, and no
//! payment is lost or declined by that.

use std::time::Duration;

use trellis_api::id::PaymentId;
use trellis_api::payment::v1::payment::State;
use trellis_payment::processor::{Charge, Error};
use trellis_payment::store::Due;
use trellis_resilience::context::{self, Inbound};
use trellis_resilience::core::breaker::Mode;
use trellis_storage::Faults;

use crate::kit::{Service, World, assert_unknown};
use crate::line::Line;
use crate::server::{PaymentIntents, Trouble};

const SECOND: Duration = Duration::from_secs(1);

/// A shop, the processor that it calls, and the line between.
struct Shop {
    world: World,
    server: PaymentIntents,
    line: Line,
    service: Service,
}

impl Shop {
    async fn start() -> Self {
        let (world, server, line) =
            (World::new().await, PaymentIntents::start().await, Line::default());
        let sandbox = world.sandbox(&Faults::default());
        let processor = line.to(&server, "sk_test");
        let service = world.start_over(&Faults::default(), sandbox, processor).await;
        Self { world, server, line, service }
    }

    /// A shop over the sandbox.
    async fn with_sandbox() -> (World, Line, Service) {
        let (world, line) = (World::new().await, Line::default());
        let sandbox = world.sandbox(&Faults::default());
        let processor = line.over(sandbox.clone());
        let service = world.start_over(&Faults::default(), sandbox, processor).await;
        (world, line, service)
    }

    /// Lets five authorizations fail, each another way, and returns the payments.
    async fn break_down(&self) -> Vec<PaymentId> {
        self.server.trouble([
            Trouble::Refused(500),
            Trouble::LostAnswer,
            Trouble::Refused(503),
            Trouble::Status(502),
            Trouble::Silence,
        ]);
        let mut payments = Vec::new();
        for _ in 0..5 {
            let id = self.world.new_id();
            assert_unknown(self.service.authorize(id, "pm_card").await);
            payments.push(id);
        }
        payments
    }

    fn requests(&self) -> usize {
        self.server.look(|books| books.requests.len())
    }
}

#[tokio::test]
async fn a_processor_that_fails_is_not_called_and_nothing_is_declined_or_charged_twice() {
    let shop = Shop::start().await;
    let mut payments = shop.break_down().await;

    // Down: whoever asks now is told what those before were told.
    let held_back = shop.world.new_id();
    payments.push(held_back);
    for _ in 0..3 {
        for id in &payments {
            assert_unknown(shop.service.authorize(*id, "pm_card").await);
            assert_eq!(shop.service.state(*id).await, State::Authorizing);
        }
    }
    assert_eq!(shop.requests(), 5, "no call reaches a processor that is down");

    // Well again: three calls find it out, and a while later all get through.
    shop.line.clock.advance(2 * SECOND);
    for id in &payments[..3] {
        shop.service.authorize(*id, "pm_card").await.unwrap();
    }
    shop.line.clock.advance(10 * SECOND);
    for id in &payments {
        shop.service.authorize(*id, "pm_card").await.unwrap();
        assert_eq!(shop.service.capture(*id).await.unwrap().state(), State::Captured);
    }

    shop.server.look(|books| {
        for id in &payments {
            let of = |payment_id: &str| payment_id == id.to_string();
            let made: Vec<_> = books.intents.values().filter(|it| of(&it.payment_id)).collect();
            assert_eq!((made.len(), made[0].captures), (1, 1), "{id}");
        }
    });
    shop.service.assert_sound().await;
}

#[tokio::test]
async fn a_processor_that_authorizes_nothing_still_captures_and_voids() {
    let shop = Shop::start().await;
    let (sold, cancelled) = (shop.world.new_id(), shop.world.new_id());
    for id in [sold, cancelled] {
        shop.service.authorize(id, "pm_card").await.unwrap();
    }
    shop.break_down().await;
    let before = shop.requests();
    assert_unknown(shop.service.authorize(shop.world.new_id(), "pm_card").await);
    assert_eq!(shop.requests(), before);

    assert_eq!(shop.service.capture(sold).await.unwrap().state(), State::Captured);
    assert_eq!(shop.service.void(cancelled).await.unwrap().state(), State::Voided);
    assert_eq!(shop.service.refund(sold).await.unwrap().state(), State::Refunded);
}

#[tokio::test]
async fn a_processor_that_says_when_to_come_back_is_left_alone_until_then() {
    for status in [429, 503] {
        let shop = Shop::start().await;
        let (sold, id) = (shop.world.new_id(), shop.world.new_id());
        shop.service.authorize(sold, "pm_card").await.unwrap();
        shop.server.trouble([Trouble::NotNow(status, 30)]);
        assert_unknown(shop.service.authorize(id, "pm_card").await);
        let asked = shop.requests();

        shop.line.clock.advance(Duration::from_millis(29_999));
        assert_unknown(shop.service.authorize(id, "pm_card").await);
        assert_unknown(shop.service.authorize(shop.world.new_id(), "pm_card").await);
        assert_eq!(shop.requests(), asked, "{status}");
        shop.service.capture(sold).await.unwrap();

        shop.line.clock.advance(Duration::from_millis(1));
        let authorized = shop.service.authorize(id, "pm_card").await.unwrap();
        assert_eq!(authorized.state(), State::Authorized, "{status}");
    }
}

#[tokio::test]
async fn a_processor_that_cannot_be_reached_counts_as_down() {
    let Shop { world, server, line, service } = Shop::start().await;
    drop(server);

    for _ in 0..5 {
        assert_unknown(service.authorize(world.new_id(), "pm_card").await);
    }

    assert_eq!(line.breaker("authorize")["state"], "open");
    assert_eq!(line.breaker("capture")["state"], "closed");
}

#[tokio::test]
async fn no_processor_can_send_us_away_for_more_than_a_minute() {
    let shop = Shop::start().await;
    shop.server.trouble([Trouble::NotNow(503, 86_400)]);
    let id = shop.world.new_id();
    assert_unknown(shop.service.authorize(id, "pm_card").await);

    shop.line.clock.advance(60 * SECOND);

    shop.service.authorize(id, "pm_card").await.unwrap();
}

#[tokio::test]
async fn a_payment_that_is_held_back_waits_for_the_reconciler_and_keeps_its_looks() {
    let shop = Shop::start().await;
    let id = shop.world.new_id();
    shop.service.void(id).await.unwrap();
    let name = "payment.processor.find";
    shop.line.registry.set_breaker_mode(name, Mode::ForcedOpen).unwrap();

    for minute in 1..=3 {
        shop.world.clock.advance(61 * SECOND);
        assert_eq!(shop.service.reconcile().await, 0, "minute {minute}");
    }
    shop.world.clock.advance(61 * SECOND);
    let now = trellis_chassis::Clock::now(&shop.world.clock);
    let due = shop.service.store.due(now, 10).await.unwrap();

    assert!(matches!(due[..], [Due { payment, attempts: 0, .. }] if payment == id), "{due:?}");
    assert_eq!(shop.requests(), 0);
}

#[tokio::test]
async fn a_silent_processor_is_waited_for_no_longer_than_the_caller_waits() {
    let shop = Shop::start().await;
    let processor = shop.line.to(&shop.server, "sk_test");
    shop.server.trouble([Trouble::Silence]);
    let charge = Charge {
        payment: shop.world.new_id(),
        amount: trellis_api::Money::new("GBP".parse().unwrap(), 1),
        token: "pm_card".parse().unwrap(),
    };
    let start = tokio::time::Instant::now();
    let deadline = Some(start + Duration::from_millis(50));
    let inbound = Inbound { deadline, ..Inbound::default() };

    let (answer, _) = context::scope(inbound, processor.authorize(&charge)).await;

    assert!(matches!(answer, Err(Error::Unknown(_))));
    assert!(start.elapsed() < SECOND, "its own limit is a second");
}

#[tokio::test]
async fn an_operator_can_stop_one_operation_of_any_processor() {
    let (world, line, service) = Shop::with_sandbox().await;
    let id = world.new_id();
    let name = "payment.processor.capture";

    line.registry.set_breaker_mode(name, Mode::ForcedOpen).unwrap();
    service.authorize(id, "tok_ok").await.unwrap();
    assert_unknown(service.capture(id).await);
    assert_eq!(service.state(id).await, State::Authorized);

    line.registry.set_breaker_mode(name, Mode::Normal).unwrap();
    line.clock.advance(10 * SECOND);
    assert_eq!(service.capture(id).await.unwrap().state(), State::Captured);
    assert_eq!(service.tally(id).await.captures, 1);
}

#[tokio::test]
async fn test_tokens_whose_answers_are_lost_do_not_count_as_an_outage() {
    let (world, line, service) = Shop::with_sandbox().await;
    for _ in 0..30 {
        let id = world.new_id();
        assert_unknown(service.authorize(id, "tok_unknown_once").await);
        service.authorize(id, "tok_unknown_once").await.unwrap();
    }

    let breaker = line.breaker("authorize");
    assert_eq!((&breaker["state"], &breaker["failure_rate"]), (&"closed".into(), &0.0.into()));
}
