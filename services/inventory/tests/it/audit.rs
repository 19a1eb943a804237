//! The audit, on a sound stockroom and on broken ones.

use trellis_api::inventory::v1::reservation::State;

use crate::fixture::Stockroom;

/// What the check of this sentence has found.
async fn found(room: &mut Stockroom, invariant: &str) -> Vec<(String, String)> {
    let (checks, _) = room.audit().await;
    let check = checks.into_iter().find(|check| check.invariant == invariant).unwrap();
    check.violations.into_iter().map(|found| (found.subject, found.detail)).collect()
}

fn one(subject: &impl ToString, detail: &str) -> Vec<(String, String)> {
    vec![(subject.to_string(), detail.to_owned())]
}

#[tokio::test]
async fn a_sound_stockroom_passes_with_figures() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 5)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 1), ("TEA", 1)]).await.unwrap();

    let (checks, reservations) = room.audit().await;

    let figures: Vec<_> =
        checks.iter().map(|check| (check.invariant.as_str(), check.examined)).collect();
    assert_eq!(
        figures,
        [
            ("no unit is oversold", 2),
            ("reserved units equal held reservations", 2),
            ("no reservation outlives its time", 1),
            ("the stock ledger sums to the stock", 4),
        ]
    );
    room.assert_sound().await;
    assert_eq!(reservations.len(), 1);
}

#[tokio::test]
async fn an_empty_stockroom_is_sound() {
    Stockroom::empty().await.assert_sound().await;
}

#[tokio::test]
async fn reservations_are_streamed_with_the_lines_of_those_that_hold_or_sold_something() {
    let mut room = Stockroom::with(&[("MUG", 10_000)]).await;
    let mut ids: Vec<_> = (0..1_203).map(|_| room.new_id()).collect();
    ids.sort();
    for batch in ids.chunks(200) {
        let calls = batch.iter().map(|&id| {
            let mut client = room.client.clone();
            let request = crate::fixture::wish(id, &[("MUG", 2)]);
            async move { client.reserve_stock(request).await.unwrap() }
        });
        futures::future::join_all(calls).await;
    }
    room.commit(ids[0]).await.unwrap();
    room.release(ids[1]).await.unwrap();
    room.commit(ids[1_202]).await.unwrap();
    room.restock(ids[1_202]).await.unwrap();

    let (_, reservations) = room.audit().await;

    let streamed: Vec<_> =
        reservations.iter().map(|reservation| reservation.reservation_id.clone()).collect();
    assert_eq!(streamed, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    let lines = |index: usize| (reservations[index].state(), reservations[index].lines.len());
    assert_eq!(lines(0), (State::Committed, 1));
    assert_eq!(lines(1), (State::Released, 0));
    assert_eq!(lines(2), (State::Held, 1));
    assert_eq!(lines(1_202), (State::Restocked, 0));
}

#[tokio::test]
async fn a_unit_that_came_from_nowhere_is_found() {
    let mut room = Stockroom::with(&[("MUG", 10), ("TEA", 5)]).await;
    room.database.tamper("UPDATE stock SET on_hand = 11 WHERE sku = 'MUG'").await;

    assert_eq!(
        found(&mut room, "the stock ledger sums to the stock").await,
        one(&"MUG", "11 on hand and 0 reserved, 10 and 0 by the ledger")
    );
}

#[tokio::test]
async fn an_oversold_unit_is_found() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    room.tamper(
        "
        PRAGMA ignore_check_constraints = true;
        UPDATE stock SET reserved = 12 WHERE sku = 'MUG';
        ",
        "
        ALTER TABLE stock DROP CONSTRAINT stock_reserved_within_on_hand;
        UPDATE stock SET reserved = 12 WHERE sku = 'MUG';
        ",
    )
    .await;

    assert_eq!(
        found(&mut room, "no unit is oversold").await,
        one(&"MUG", "10 on hand, 12 reserved")
    );
}

#[tokio::test]
async fn a_reservation_that_holds_nothing_is_found() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();
    room.database.tamper("UPDATE stock SET reserved = 3").await;

    assert_eq!(
        found(&mut room, "reserved units equal held reservations").await,
        one(&"MUG", "3 reserved, 4 held")
    );
}

#[tokio::test]
async fn a_reservation_that_outlives_its_time_is_found() {
    let mut room = Stockroom::with(&[("MUG", 10)]).await;
    let id = room.new_id();
    room.reserve(id, &[("MUG", 4)]).await.unwrap();

    room.advance(900 + 60);
    assert_eq!(found(&mut room, "no reservation outlives its time").await, []);
    room.advance(1);

    assert_eq!(
        found(&mut room, "no reservation outlives its time").await,
        one(&id, "held 61 s too long")
    );
}

#[tokio::test]
async fn the_ledger_cannot_be_rewritten() {
    let room = Stockroom::with(&[("MUG", 10)]).await;

    for statement in ["UPDATE stock_ledger SET on_hand_delta = 11", "DELETE FROM stock_ledger"] {
        let refusal = room.database.query(statement).await.unwrap_err();
        assert!(refusal.contains("the stock ledger is append-only"), "{refusal}");
    }
}
