//! Peers that are away, silent, forgetful or wrong: unknown is never failed.

use std::time::Duration;

use tonic::Code;
use trellis_api::inventory::v1::reservation::State as Reserved;
use trellis_api::payment::v1::payment::State as Paid;
use trellis_api::shop::v1::order::State;
use trellis_chassis::Clock as _;
use trellis_order::saga::{Lease, Saga};
use trellis_storage::Faults;
use trellis_storage::idempotency::Fingerprint;
use uuid::Uuid;

use super::ground::Ground;
use super::records::pending;
use super::shop::{Shop, until};
use super::world::{Call, Fault};

const FORWARD: [Call; 4] = [Call::Reserve, Call::Authorize, Call::Commit, Call::Capture];

#[tokio::test]
async fn a_step_that_fails_once_is_repeated_at_once() {
    for call in FORWARD {
        for fault in [Fault::Unavailable, Fault::Internal, Fault::Odd, Fault::Lost] {
            let shop = Shop::new().await;
            shop.world().fail(call, fault);

            let order = shop.buy("tok_ok").await;

            assert_eq!(order.state(), State::Confirmed, "{call:?}");
            assert_eq!(shop.world().state().captures, 1);
            assert_eq!(shop.world().available("MUG"), 998);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_on_the_way_back_undoes_nothing_twice() {
    for (token, call) in [
        ("tok_declined", Call::Release),
        ("tok_declined", Call::Void),
        ("tok_uncapturable", Call::Restock),
        ("tok_uncapturable", Call::Void),
    ] {
        let shop = Shop::new().await;
        shop.world().fail(call, Fault::Lost);

        let _ = shop.checkout(shop.purchase(token)).await;

        let order = &shop.all_orders().await[0];
        assert_eq!(order.state(), State::Cancelled, "{token} {call:?}");
        assert_eq!(shop.world().available("MUG"), 1_000);
    }
}

#[tokio::test]
async fn an_order_survives_a_peer_that_is_down_for_a_while() {
    for call in FORWARD {
        let shop = Shop::new().await;
        shop.world().break_down(call, Fault::Unavailable);
        let order = shop.begin("tok_ok").await;
        assert_eq!(order.state(), State::Pending);
        for _ in 0..3 {
            shop.advance_until_called(call, Duration::from_secs(1)).await;
        }

        shop.world().mend();

        assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed, "{call:?}");
        assert_eq!(shop.world().state().captures, 1);
        assert!(shop.violations().await.is_empty());
    }
}

#[tokio::test]
async fn an_hour_without_payments_costs_no_order_that_is_past_the_pivot() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Capture, Fault::Unavailable);
    let order = shop.begin("tok_ok").await;
    for _ in 0..40 {
        shop.advance_until_called(Call::Capture, Duration::from_secs(90)).await;
    }

    shop.world().mend();
    shop.advance(Duration::from_secs(90));

    // The deadline has passed long ago, but so has the pivot.
    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
}

#[tokio::test]
async fn a_checkout_that_takes_too_long_before_the_pivot_turns_back() {
    for call in [Call::Reserve, Call::Authorize, Call::Commit] {
        let shop = Shop::new().await;
        shop.world().break_down(call, Fault::Unavailable);
        let order = shop.begin("tok_ok").await;
        shop.advance(Duration::from_mins(3));

        let order = shop.settled(&order.order_id).await;

        assert_eq!(
            (order.state(), order.reason.as_str()),
            (State::Cancelled, "CHECKOUT_TIMED_OUT")
        );
        assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Released));
        assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Voided));
        assert_eq!(shop.world().available("MUG"), 1_000, "{call:?}");
        assert!(shop.violations().await.is_empty());
    }
}

#[tokio::test]
async fn a_sale_whose_answer_was_lost_until_the_deadline_goes_forward() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Commit, Fault::Lost);
    let order = shop.begin("tok_ok").await;
    shop.advance(Duration::from_mins(3));

    let order = shop.settled(&order.order_id).await;

    assert_eq!(order.state(), State::Confirmed);
    // Two may work on it once its lease is over, and any step may be taken again.
    assert_ne!(shop.world().calls(Call::Release), 0, "which told that the pivot had passed");
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Captured));
}

#[tokio::test]
async fn what_comes_after_the_undoing_holds_nothing() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Reserve, Fault::Late);
    let order = shop.begin("tok_ok").await;
    shop.advance(Duration::from_mins(3));
    let order = shop.settled(&order.order_id).await;
    assert_eq!(order.state(), State::Cancelled);

    assert!(0 < shop.world().deliver_late());

    assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Released));
    assert_eq!(shop.world().available("MUG"), 1_000);
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_ends_with_an_operator_and_cancels_nothing() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Capture, Fault::Internal);
    let order = shop.begin("tok_ok").await;

    shop.world().called(Call::Capture, 3).await;
    // Twenty postponements, and two quick repetitions in the first run.
    for call in 4..=22 {
        shop.is_put_off().await;
        shop.advance(Duration::from_mins(1));
        shop.world().called(Call::Capture, call).await;
    }
    until(async || !shop.violations().await.is_empty()).await;

    assert_eq!(shop.violations().await, ["no saga is stuck"]);
    assert_eq!(shop.world().calls(Call::Capture), 22);
    assert_eq!(shop.order(&order.order_id).await.state(), State::Pending);
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Authorized));
}

#[tokio::test]
async fn two_hundred_poisoned_sagas_do_not_hold_up_a_good_one() {
    let ground = Ground::new().await;
    let store = ground.open_store(Faults::default()).await;
    let lapsed = Lease { owner: Uuid::new_v4(), until: ground.clock.now() };
    let mut good = None;
    for number in 0..=200 {
        let token = if number < 200 { "tok_poison" } else { "tok_ok" };
        ground.clock.advance(Duration::from_millis(1));
        let order = pending(ground.user_id, ground.clock.now());
        good = Some(order.order_id.to_string());
        let saga = Saga::checkout(order, token.parse().unwrap(), false);
        let begun = store.begin(saga, Fingerprint::of(&[]), lapsed).await.unwrap();
        assert!(begun.is_none());
    }
    drop(store);
    ground.clock.advance(Duration::from_secs(1));

    let shop = ground.open().await;
    let settled = shop.settled(good.as_deref().unwrap());
    let order = tokio::time::timeout(Duration::from_secs(5), settled).await.unwrap();

    assert_eq!(order.state(), State::Confirmed);
}

#[tokio::test]
async fn a_zombie_changes_nothing_when_it_wakes() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    let order = shop.begin("tok_ok").await;
    gate.reached().await;

    // Its lease lapses, and someone else ends the saga meanwhile.
    shop.advance(Duration::from_secs(31));
    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
    let ended = shop.order(&order.order_id).await;
    gate.open();
    let captures = shop.world().calls(Call::Capture);
    shop.world().called(Call::Capture, captures + 1).await;

    assert_eq!(shop.order(&order.order_id).await, ended);
    assert_eq!(shop.world().state().captures, 1);
    let order_id = order.order_id.clone();
    let ground = shop.stop().await;
    assert_eq!(ground.heard.count("order.confirmed", &order_id), 1);
}

#[tokio::test]
async fn a_stopping_shop_finishes_what_is_in_flight() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    let order = shop.begin("tok_ok").await;
    let open = async {
        tokio::task::yield_now().await;
        gate.open();
    };
    let order_id = order.order_id;
    let (ground, ()) = tokio::join!(shop.stop(), open);

    let shop = ground.open().await;

    assert_eq!(shop.order(&order_id).await.state(), State::Confirmed);
}

#[tokio::test]
async fn no_answer_shows_what_went_wrong_inside() {
    let shop = Shop::new().await;
    shop.world().fail(Call::Products, Fault::Internal);

    let failed = shop.checkout(shop.purchase("tok_ok")).await.unwrap_err();

    assert_eq!((failed.code(), failed.message()), (Code::Internal, "internal error"));
}
