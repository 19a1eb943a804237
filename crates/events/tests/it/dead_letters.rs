//! What can be done with dead letters, through the consumer's client.

use futures::future::join_all;
use tonic::Code;
use trellis_api::event::v1 as pb;

use crate::world::{CONFIRMED, Mood, Pair, drain, event};

async fn replay(pair: &Pair, event_ids: &[String]) -> (i64, i64) {
    let request = pb::ReplayDeadLettersRequest { event_ids: event_ids.to_vec() };
    let replayed = pair.consumer.client().replay_dead_letters(request).await.unwrap().into_inner();
    (replayed.replayed, replayed.failed)
}

/// A consumer that has given up on events about these subjects; also their ids.
async fn given_up(subjects: &[String]) -> (Pair, Vec<String>) {
    let mut pair = Pair::new().await;
    pair.consumer.take("", Mood::Picky);
    let events: Vec<_> =
        subjects.iter().map(|subject| event(&pair.clock, CONFIRMED, subject)).collect();
    let ids = events.iter().map(|event| event.event_id.clone()).collect();
    for appended in join_all(events.into_iter().map(|event| pair.publisher.append(event))).await {
        appended.unwrap();
    }
    drain(&mut pair.relay).await.unwrap();
    (pair, ids)
}

fn subjects(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn a_replayed_event_takes_effect_and_is_no_dead_letter_any_more() {
    let (pair, _) = given_up(&subjects(&["order"])).await;
    pair.consumer.take("", Mood::Well);

    assert_eq!(replay(&pair, &[]).await, (1, 0));

    assert_eq!(pair.consumer.effects().await, ["order"]);
    assert_eq!(pair.consumer.dead_letters().await, []);
    assert_eq!(replay(&pair, &[]).await, (0, 0));
}

#[tokio::test]
async fn what_fails_again_stays_with_its_new_error() {
    let (pair, _) = given_up(&subjects(&["bad", "good"])).await;
    pair.consumer.take("good", Mood::Well);
    pair.consumer.take("bad", Mood::Ill);

    assert_eq!(replay(&pair, &[]).await, (1, 1));

    let letter = ("bad".to_owned(), 2, "not feeling well".to_owned());
    assert_eq!(pair.consumer.dead_letters().await, [letter]);
}

#[tokio::test]
async fn only_the_chosen_events_are_replayed() {
    let (pair, ids) = given_up(&subjects(&["a", "b"])).await;
    pair.consumer.take("", Mood::Well);
    let stranger = event(&pair.clock, CONFIRMED, "stranger").event_id;

    assert_eq!(replay(&pair, &[ids[1].clone(), stranger]).await, (1, 0));

    assert_eq!(pair.consumer.effects().await, ["b"]);
    assert_eq!(pair.consumer.dead_letters().await.len(), 1);
}

#[tokio::test]
async fn all_are_replayed_however_many_and_though_some_stay() {
    let names: Vec<_> =
        (0..250).map(|n| format!("{} {n}", if n % 5 == 0 { "bad" } else { "good" })).collect();
    let (pair, _) = given_up(&names).await;
    pair.consumer.take("good", Mood::Well);

    assert_eq!(replay(&pair, &[]).await, (200, 50));

    assert_eq!(pair.consumer.effects().await.len(), 200);
    assert_eq!(pair.consumer.dead_letters().await.len(), 50);
}

#[tokio::test]
async fn a_replay_of_what_was_applied_meanwhile_changes_nothing() {
    let (pair, _) = given_up(&subjects(&["order"])).await;
    let letters = pair.consumer.database.dead_letters();
    let letter = letters.list("consumer", None, 1).await.unwrap().remove(0);
    pair.consumer.take("", Mood::Well);
    assert_eq!(replay(&pair, &[]).await, (1, 0));

    letters.bury("consumer", letter).await.unwrap();
    assert_eq!(replay(&pair, &[]).await, (1, 0));

    assert_eq!(pair.consumer.effects().await, ["order"]);
}

#[tokio::test]
async fn dead_letters_are_listed_oldest_first_a_page_at_most() {
    let (mut pair, _) = given_up(&subjects(&["second"])).await;
    pair.clock.advance(std::time::Duration::from_secs(1));
    pair.publisher.tell(CONFIRMED, &["third"]).await;
    drain(&mut pair.relay).await.unwrap();

    let request = pb::ListDeadLettersRequest { page_size: 1 };
    let page = pair.consumer.client().list_dead_letters(request).await.unwrap().into_inner();

    assert_eq!(page.dead_letters.len(), 1);
    let event = page.dead_letters[0].event.as_ref().unwrap();
    assert_eq!((&*event.subject, event.payload.len()), ("second", 0), "what it says stays here");
    assert!(page.dead_letters[0].create_time.is_some());
}

#[tokio::test]
async fn bad_pages_and_ids_are_refused() {
    let (pair, _) = given_up(&[]).await;
    let mut client = pair.consumer.client();

    let request = pb::ListDeadLettersRequest { page_size: 101 };
    let status = client.list_dead_letters(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);

    let request = pb::ReplayDeadLettersRequest { event_ids: vec!["x".to_owned()] };
    let status = client.replay_dead_letters(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
