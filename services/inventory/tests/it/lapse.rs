//! What time does to a reservation.

use tonic::Code;
use trellis_api::inventory::v1::reservation::State;
use trellis_chassis::Clock as _;
use trellis_inventory::expiry;

use crate::fixture::{Stockroom, refusal};

fn expired() -> (Code, String) {
    (Code::FailedPrecondition, "RESERVATION_EXPIRED".to_owned())
}

#[tokio::test]
async fn a_lapsed_reservation_cannot_be_committed_even_before_the_sweeper_comes() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    room.advance(900);

    assert_eq!(refusal(room.commit(id).await), expired());
    assert_eq!(refusal(room.reserve(id, &[("MUG", 4)]).await), expired());
    assert_eq!(room.get(id).await.unwrap().state(), State::Held);
    assert_eq!(room.available("MUG").await, 6);
}

#[tokio::test]
async fn the_last_moment_still_counts() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    room.advance(899);
    assert_eq!(expiry::sweep(room.store.as_ref(), room.clock.now()).await.unwrap(), 0);

    assert_eq!(room.commit(id).await.unwrap().state(), State::Committed);
}

#[tokio::test]
async fn the_sweeper_gives_lapsed_units_back_once() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let (lapsed, sold, released) = (room.new_id(), room.new_id(), room.new_id());
    for id in [lapsed, sold, released] {
        room.reserve(id, &[("MUG", 2)]).await.unwrap();
    }
    room.commit(sold).await.unwrap();
    room.release(released).await.unwrap();
    room.advance(900);

    assert_eq!(expiry::sweep(room.store.as_ref(), room.clock.now()).await.unwrap(), 1);
    assert_eq!(expiry::sweep(room.store.as_ref(), room.clock.now()).await.unwrap(), 0);

    assert_eq!(room.available("MUG").await, 8);
    assert_eq!(room.get(lapsed).await.unwrap().state(), State::Expired);
    assert_eq!(room.release(lapsed).await.unwrap().state(), State::Expired);
    assert_eq!(refusal(room.commit(lapsed).await), expired());
    assert_eq!(refusal(room.reserve(lapsed, &[("MUG", 2)]).await), expired());
    assert_eq!(room.available("MUG").await, 8);
    room.assert_sound().await;
}

#[tokio::test]
async fn a_lapsed_reservation_can_still_be_released() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();
    room.advance(1_000);

    assert_eq!(room.release(id).await.unwrap().state(), State::Released);
    assert_eq!(expiry::sweep(room.store.as_ref(), room.clock.now()).await.unwrap(), 0);

    assert_eq!(room.available("MUG").await, 10);
    room.assert_sound().await;
}
