//! The process dies at every commit, on either side of it, and starts again.

use trellis_api::id::PaymentId;
use trellis_api::payment::v1::payment::State;
use trellis_storage::{Faults, When};

use crate::kit::{Service, World, assert_refused};

/// Runs `life` with a crash at commit `at`, and again without one. Returns the
/// restarted service, or `None` when there were fewer commits.
async fn crash(
    world: &World,
    id: PaymentId,
    (at, when): (u64, When),
    life: impl AsyncFn(&Service, PaymentId),
) -> Option<Service> {
    let faults = Faults::crash(at, when);
    let service = world.start_with(&faults, &faults).await;
    life(&service, id).await;
    service.stop().await;
    if !faults.crashed() {
        return None;
    }
    let service = world.start().await;
    life(&service, id).await;
    Some(service)
}

/// Crashes at every commit and has `check` look at what a repetition has made
/// of it. Returns the number of commits.
async fn at_every_commit(
    life: impl AsyncFn(&Service, PaymentId),
    check: impl AsyncFn(&Service, PaymentId),
) -> u64 {
    for at in 1.. {
        for when in [When::BeforeCommit, When::AfterCommit] {
            let world = World::new().await;
            let id = world.new_id();
            let Some(service) = crash(&world, id, (at, when), &life).await else {
                return at - 1;
            };
            check(&service, id).await;
            service.assert_sound().await;
        }
    }
    unreachable!("a life has an end")
}

#[tokio::test]
async fn a_sale_takes_the_money_once_wherever_it_is_cut_off() {
    let commits = at_every_commit(
        async |service, id| {
            let _ = service.authorize(id, "tok_ok").await;
            let _ = service.capture(id).await;
        },
        async |service, id| {
            assert_eq!(service.state(id).await, State::Captured);
            let tally = service.tally(id).await;
            assert_eq!((tally.authorizations, tally.captures), (1, 1));
            assert_eq!(service.store.books().await.unwrap().entries, 1);
        },
    )
    .await;

    // The wish, the block, its record; the capture, its record.
    assert_eq!(commits, 5);
}

#[tokio::test]
async fn a_refund_gives_the_money_back_once_wherever_it_is_cut_off() {
    let commits = at_every_commit(
        async |service, id| {
            let _ = service.authorize(id, "tok_ok").await;
            let _ = service.capture(id).await;
            let _ = service.refund(id).await;
        },
        async |service, id| {
            assert_eq!(service.state(id).await, State::Refunded);
            let tally = service.tally(id).await;
            assert_eq!((tally.captures, tally.refunds), (1, 1));
        },
    )
    .await;

    assert_eq!(commits, 7);
}

#[tokio::test]
async fn a_void_leaves_nothing_blocked_wherever_it_is_cut_off() {
    let commits = at_every_commit(
        async |service, id| {
            let _ = service.authorize(id, "tok_ok").await;
            let _ = service.void(id).await;
        },
        async |service, id| {
            assert_eq!(service.state(id).await, State::Voided);
            assert_refused(service.authorize(id, "tok_ok").await, "PAYMENT_VOIDED");
            assert_refused(service.capture(id).await, "PAYMENT_VOIDED");
        },
    )
    .await;

    assert_eq!(commits, 6);
}
