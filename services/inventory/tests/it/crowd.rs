//! Many buyers at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tonic::{Code, Response, Status};
use trellis_api::error;
use trellis_api::inventory::v1 as pb;

use crate::fixture::{Stockroom, refusal, wish};

type Call = Pin<Box<dyn Future<Output = Result<Response<pb::ReserveStockResponse>, Status>>>>;

/// So many calls of different buyers, not yet begun.
fn calls(room: &Stockroom, lines: &[(&str, i32)], count: usize) -> Vec<Call> {
    let call = |_| -> Call {
        let (mut client, request) = (room.client.clone(), wish(room.new_id(), lines));
        Box::pin(async move { client.reserve_stock(request).await })
    };
    (0..count).map(call).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_buyers_race_for_fifty_units_and_fifty_win() {
    let mut room = Stockroom::with(&[("MUG", 50)]).await;
    // Whoever is refused for want of room comes again when somebody was answered: those
    // who have the room are more than those who have not.
    let answered = Arc::new(Semaphore::new(0));
    let buyers: Vec<_> = (0..500)
        .map(|_| {
            let (mut client, request) = (room.client.clone(), wish(room.new_id(), &[("MUG", 1)]));
            let answered = Arc::clone(&answered);
            async move {
                loop {
                    let answer = client.reserve_stock(request.clone()).await;
                    let answer = match answer {
                        Ok(_) => "held".to_owned(),
                        Err(status) if status.code() == Code::ResourceExhausted => {
                            answered.acquire().await.unwrap().forget();
                            continue;
                        }
                        Err(status) => error::reason(&status).unwrap(),
                    };
                    answered.add_permits(1);
                    return answer;
                }
            }
        })
        .collect();

    let mut tasks = tokio::task::JoinSet::new();
    for buyer in buyers {
        tasks.spawn(buyer);
    }
    let answers = tasks.join_all().await;

    assert_eq!(answers.iter().filter(|answer| *answer == "held").count(), 50);
    assert_eq!(answers.iter().filter(|answer| *answer == "OUT_OF_STOCK").count(), 450);
    assert_eq!(room.available("MUG").await, 0);
    room.assert_sound().await;
}

#[tokio::test]
async fn sixty_four_copies_of_one_request_hold_stock_once() {
    let mut room = Stockroom::with(&[("MUG", 50)]).await;
    let request = wish(room.new_id(), &[("MUG", 5)]);

    let client = room.client.clone();
    let answers: Vec<pb::ReserveStockResponse> = stream::iter(0..64)
        .map(|_| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.reserve_stock(request).await.unwrap().into_inner() }
        })
        .buffer_unordered(64)
        .collect()
        .await;

    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(room.available("MUG").await, 45);
    room.assert_sound().await;
}

#[tokio::test]
async fn a_mistake_in_the_crowd_fails_only_its_maker() {
    let mut room = Stockroom::with(&[("MUG", 100), ("TEA", 1)]).await;
    let used = room.new_id();
    room.reserve(used, &[("MUG", 1)]).await.unwrap();
    let released = room.new_id();
    room.release(released).await.unwrap();

    let ids: Vec<_> = (0..60).map(|_| room.new_id()).collect();
    let mut wishes: Vec<_> = ids.iter().map(|&id| wish(id, &[("MUG", 1)])).collect();
    wishes.insert(10, wish(used, &[("MUG", 2)]));
    wishes.insert(20, wish(released, &[("MUG", 1)]));
    wishes.insert(30, wish(room.new_id(), &[("MUG", 1), ("TEA", 2)]));
    let client = room.client.clone();
    let answers: Vec<_> = stream::iter(wishes)
        .map(|request| {
            let mut client = client.clone();
            async move { client.reserve_stock(request).await }
        })
        .buffered(64)
        .collect()
        .await;

    let mistakes: Vec<usize> =
        (0..answers.len()).filter(|&index| answers[index].is_err()).collect();
    assert_eq!(mistakes, [10, 20, 30]);
    assert_eq!(room.available("MUG").await, 39);
    room.assert_sound().await;
}

#[tokio::test]
async fn callers_that_give_up_do_no_harm() {
    let mut room = Stockroom::with(&[("MUG", 100)]).await;
    let ids: Vec<_> = (0..40).map(|_| room.new_id()).collect();
    {
        let mut impatient: Vec<_> = ids
            .iter()
            .map(|&id| {
                let (mut client, request) = (room.client.clone(), wish(id, &[("MUG", 1)]));
                Box::pin(async move { client.reserve_stock(request).await })
            })
            .collect();
        // Each is begun, and none is waited for.
        for call in &mut impatient {
            assert!(futures::poll!(call).is_pending());
        }
    }

    let patient = room.new_id();
    room.reserve(patient, &[("MUG", 1)]).await.unwrap();

    // Whether such an order was decided is unknown; asking again settles it.
    for id in ids {
        room.reserve(id, &[("MUG", 1)]).await.unwrap();
    }
    assert_eq!(room.available("MUG").await, 59);
    room.assert_sound().await;
}

#[tokio::test]
async fn what_was_accepted_before_the_stop_is_answered() {
    let mut room = Stockroom::with(&[("MUG", 100)]).await;
    let mut early = room.client.clone();
    let request = wish(room.new_id(), &[("MUG", 1)]);
    let mut accepted = Box::pin(early.reserve_stock(request));
    assert!(futures::poll!(&mut accepted).is_pending());

    room.shutdown.request();
    room.shutdown.finish(std::time::Duration::from_secs(5)).await.unwrap();

    accepted.await.unwrap();
    let late = room.new_id();
    room.reserve(late, &[("MUG", 1)]).await.unwrap();
    assert_eq!(room.available("MUG").await, 98);
}

#[tokio::test]
async fn more_than_can_wait_is_refused_at_once() {
    let mut room = Stockroom::with(&[("MUG", 10_000)]).await;
    let (offered, accepting) = (2_000, 1_024);
    let mut calls = calls(&room, &[("MUG", 1)], offered);

    // Nothing else runs meanwhile, so the queue only fills.
    let mut refused = 0;
    let mut accepted = Vec::new();
    for mut call in calls.drain(..) {
        match futures::poll!(&mut call) {
            Poll::Pending => accepted.push(call),
            Poll::Ready(answer) => {
                let overloaded = (Code::ResourceExhausted, "RESERVE_OVERLOADED".to_owned());
                assert_eq!(refusal(answer), overloaded);
                refused += 1;
            }
        }
    }

    assert_eq!((accepted.len(), refused), (accepting, offered - accepting));
    for answer in join_all(accepted).await {
        answer.unwrap();
    }
    assert_eq!(room.available("MUG").await, 10_000 - 1_024);
    room.assert_sound().await;
}

#[tokio::test]
async fn who_comes_first_is_served_first() {
    let mut room = Stockroom::with(&[("MUG", 100)]).await;
    let mut calls = calls(&room, &[("MUG", 1)], 200);

    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    let held: Vec<bool> = join_all(calls).await.iter().map(Result::is_ok).collect();

    assert_eq!(held, [vec![true; 100], vec![false; 100]].concat());
    assert_eq!(room.available("MUG").await, 0);
}

#[tokio::test]
async fn an_order_that_the_store_cannot_take_fails_alone() {
    let mut room = Stockroom::with(&[("MUG", 100), ("BAD", 100)]).await;
    room.tamper(
        "
        CREATE TRIGGER poison BEFORE INSERT ON reservation_lines WHEN new.sku = 'BAD' BEGIN
            SELECT raise(ABORT, 'poison');
        END
        ",
        "
        CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'poison';
        END;
        $$;
        CREATE TRIGGER poison BEFORE INSERT ON reservation_lines FOR EACH ROW
            WHEN (new.sku = 'BAD') EXECUTE FUNCTION poison();
        ",
    )
    .await;
    let skus = ["MUG", "MUG", "BAD", "MUG", "MUG"];
    let client = room.client.clone();
    let wishes: Vec<_> = skus.iter().map(|&sku| wish(room.new_id(), &[(sku, 1)])).collect();

    let answers: Vec<_> = stream::iter(wishes)
        .map(|request| {
            let mut client = client.clone();
            async move { client.reserve_stock(request).await }
        })
        .buffered(5)
        .collect()
        .await;

    let held: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(held, [true, true, false, true, true]);
    let refused = answers.into_iter().nth(2).unwrap();
    assert_eq!(refusal(refused), (Code::Internal, "INTERNAL".to_owned()));
    assert_eq!((room.available("MUG").await, room.available("BAD").await), (96, 100));
}
