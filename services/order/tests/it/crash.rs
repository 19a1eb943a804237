//! Kills the service at every commit, and looks at what the next one makes of it.

use std::time::Duration;

use tonic::Code;
use trellis_api::order::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_order::Settings;
use trellis_storage::{Faults, When};
use uuid::Uuid;

use super::ground::{Ground, untold};
use super::shop::{Shop, until};

/// More commits than any of the stories below has.
const MOST_COMMITS: u64 = 40;

/// What a customer does, and does again after the crash.
struct Story {
    token: &'static str,
    cancels: bool,
    /// The state and the reason that every telling comes to.
    end: (State, &'static str),
    events: &'static [&'static str],
}

#[tokio::test]
async fn a_sale_survives_a_crash_at_every_commit() {
    everywhere(&Story {
        token: "tok_ok",
        cancels: false,
        end: (State::Confirmed, ""),
        events: &["order.confirmed"],
    })
    .await;
}

#[tokio::test]
async fn a_decline_survives_a_crash_at_every_commit() {
    everywhere(&Story {
        token: "tok_declined",
        cancels: false,
        end: (State::Cancelled, "PAYMENT_DECLINED"),
        events: &["order.cancelled"],
    })
    .await;
}

#[tokio::test]
async fn a_failed_capture_survives_a_crash_at_every_commit() {
    everywhere(&Story {
        token: "tok_uncapturable",
        cancels: false,
        end: (State::Cancelled, "CAPTURE_FAILED"),
        events: &["order.cancelled"],
    })
    .await;
}

#[tokio::test]
async fn a_refund_survives_a_crash_at_every_commit() {
    everywhere(&Story {
        token: "tok_ok",
        cancels: true,
        end: (State::Refunded, "CANCELLED_BY_CUSTOMER"),
        events: &["order.confirmed", "order.refunded"],
    })
    .await;
}

async fn everywhere(story: &Story) {
    for when in [When::BeforeCommit, When::AfterCommit] {
        for at in 1..MOST_COMMITS {
            if !tell(story, at, when).await {
                break;
            }
            assert!(at + 1 < MOST_COMMITS, "the story has more commits than that");
        }
    }
}

/// Tells the story with a crash, and answers whether it came to one.
async fn tell(story: &Story, at: u64, when: When) -> bool {
    let ground = Ground::new().await;
    let faults = Faults::crash(at, when);
    let settings = Settings { recovery_interval_milliseconds: 10, ..Settings::default() };
    let mut request = None;
    let cancel = Uuid::new_v4();
    if let Ok(shop) = ground.open_with(settings, faults.clone()).await {
        request = Some(shop.purchase(story.token));
        act(&shop, story, request.clone().unwrap(), cancel).await;
        shop.stop().await;
    }
    ground.outlive_leases();
    let shop = ground.open().await;
    let request = request.unwrap_or_else(|| shop.purchase(story.token));
    act(&shop, story, request, cancel).await;

    let orders = shop.all_orders().await;
    assert_eq!(orders.len(), 1, "{when:?} {at}");
    let order = shop.settled(&orders[0].order_id).await;
    assert_eq!((order.state(), order.reason.as_str()), story.end, "{when:?} {at}");
    let sold = if story.end.0 == State::Confirmed { 2 } else { 0 };
    assert_eq!(shop.world().available("MUG"), 1_000 - sold, "{when:?} {at}");
    let captures = usize::from(story.token == "tok_ok");
    assert_eq!(shop.world().state().captures, captures, "{when:?} {at}");
    assert_eq!(shop.world().state().refunds, usize::from(story.cancels), "{when:?} {at}");
    for kind in story.events {
        shop.ground.heard.heard(kind).await;
        assert_eq!(shop.ground.heard.count(kind, &order.order_id), 1, "{when:?} {at} {kind}");
    }
    // The relay notes what it has delivered, and may be about to.
    until(async || untold(&*shop.store).await == 0).await;
    assert_eq!(shop.violations().await, [""; 0], "{when:?} {at}");
    shop.stop().await;
    faults.crashed()
}

/// Buys, and cancels what was bought. It may meet the crash.
async fn act(shop: &Shop, story: &Story, request: pb::CheckoutRequest, cancel: Uuid) {
    let mut buying = tonic::Request::new(request);
    buying.set_timeout(Duration::from_millis(600));
    let bought = match shop.orders.clone().checkout(buying).await {
        Ok(response) => response.into_inner().order,
        Err(status) => {
            let known = [Code::FailedPrecondition, Code::Unavailable, Code::Internal];
            assert!(known.contains(&status.code()), "{status:?}");
            None
        }
    };
    if let Some(order) = bought.filter(|order| story.cancels && order.state() != State::Pending) {
        let cancelling = shop.cancel(&order.order_id, cancel);
        let _ = tokio::time::timeout(Duration::from_millis(600), cancelling).await;
    }
}
