//! The contract that every store keeps.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use trellis_api::id::{Bucket, OrderId};
use trellis_recommendation::Store;
use trellis_recommendation::domain::{Basket, Hour, Position, View};
use trellis_recommendation::store::{Follower, Forgotten, Retention};
use trellis_storage::Faults;
use trellis_testkit::Database;

use crate::kit::{MONDAY, event_id, open};

fn basket(skus: &[&str], create_time: OffsetDateTime) -> Basket {
    let order_id = OrderId::new(create_time, Bucket::random());
    Basket::new(order_id, skus.iter().map(|sku| sku.parse().unwrap()), create_time).unwrap()
}

fn view(sku: &str, time: OffsetDateTime) -> View {
    View { sku: sku.parse().unwrap(), hour: Hour::of(time) }
}

async fn keep(store: &Arc<dyn Store>, event: u128, basket: &Basket) -> i64 {
    store.keep_basket(event_id(event), basket.clone(), MONDAY).await.unwrap().baskets
}

async fn count(store: &Arc<dyn Store>, event: u128, view: &View) -> i64 {
    store.count_view(event_id(event), view.clone(), MONDAY).await.unwrap().views
}

async fn forgotten(store: &Arc<dyn Store>) -> Forgotten {
    store.survey(0, MONDAY).await.unwrap().forgotten
}

/// Keeps only what is asked for, of all that there is.
fn retention(baskets: i64, since: OffsetDateTime) -> Retention {
    Retention {
        baskets,
        baskets_since: since,
        views_since: since,
        learned: Position { baskets: i64::MAX, views: i64::MAX },
    }
}

async fn reads_what_was_kept_in_the_order_of_commits(store: Arc<dyn Store>) {
    let baskets = [
        basket(&["MUG", "TEA"], MONDAY),
        basket(&["TEA"], MONDAY - Duration::days(1)),
        basket(&["LAMP", "BULB", "MUG"], MONDAY),
    ];
    for (number, basket) in (0..).zip(&baskets) {
        keep(&store, number, basket).await;
    }

    let first = store.changes(Position::default(), 2).await.unwrap().baskets;
    let position = Position { baskets: first[1].sequence, views: 0 };
    let rest = store.changes(position, 2).await.unwrap().baskets;

    let read: Vec<_> = first.iter().chain(&rest).collect();
    assert_eq!(read.len(), 3);
    for (read, kept) in read.iter().zip(&baskets) {
        assert_eq!(read.skus, kept.skus());
        assert_eq!(read.create_time, kept.create_time);
    }
    assert!(read.is_sorted_by(|one, other| one.sequence < other.sequence));
    let order_ids = store.order_ids(first[0].sequence, 2).await.unwrap();
    assert_eq!(order_ids[0], (first[1].sequence, baskets[1].order_id));
    assert_eq!(order_ids[1], (rest[0].sequence, baskets[2].order_id));
}

async fn hears_an_event_once(store: Arc<dyn Store>) {
    let mugs = basket(&["MUG"], MONDAY);
    assert_eq!(keep(&store, 1, &mugs).await, 1);
    assert_eq!(keep(&store, 1, &mugs).await, 0);
    assert_eq!(keep(&store, 1, &basket(&["TEA"], MONDAY)).await, 0);
    assert_eq!(keep(&store, 2, &mugs).await, 0);
    assert_eq!(count(&store, 3, &view("MUG", MONDAY)).await, 1);
    assert_eq!(count(&store, 3, &view("MUG", MONDAY)).await, 0);

    let changes = store.changes(Position::default(), 10).await.unwrap();

    assert_eq!(changes.baskets.len(), 1);
    assert_eq!(changes.views.len(), 1);
    assert_eq!(changes.views[0].count, 1);
}

async fn shows_a_count_again_when_it_has_grown(store: Arc<dyn Store>) {
    let (mug, tea) = (view("MUG", MONDAY), view("TEA", MONDAY));
    let later = view("MUG", MONDAY + Duration::hours(1));
    count(&store, 1, &mug).await;
    count(&store, 2, &tea).await;
    let views = count(&store, 3, &later).await;
    let position = Position { baskets: 0, views };

    count(&store, 4, &mug).await;

    let new = store.changes(position, 10).await.unwrap().views;
    assert_eq!(new.len(), 1);
    assert_eq!((&new[0].view, new[0].count), (&mug, 2));
    let all = store.changes(Position::default(), 10).await.unwrap().views;
    let all: Vec<_> = all.into_iter().map(|views| (views.view, views.count)).collect();
    assert_eq!(all, [(tea, 1), (later, 1), (mug, 2)]);
}

async fn forgets_what_is_old_or_too_much(store: Arc<dyn Store>) {
    let last_year = MONDAY - Duration::days(365);
    for number in 0..10_u8 {
        let time = if number < 3 { last_year + Duration::days(number.into()) } else { MONDAY };
        keep(&store, number.into(), &basket(&["MUG"], time)).await;
    }
    count(&store, 101, &view("MUG", last_year)).await;
    count(&store, 102, &view("MUG", MONDAY)).await;
    let model = Follower::random();
    assert_eq!(store.follow(model, MONDAY).await.unwrap(), Forgotten::default());

    let unlearned = Retention { learned: Position::default(), ..retention(0, MONDAY) };
    assert_eq!(store.forget(model, unlearned, 100, MONDAY).await.unwrap(), Some(0));
    let old = retention(i64::MAX, MONDAY - Duration::days(90));
    assert_eq!(store.forget(model, old, 2, MONDAY).await.unwrap(), Some(3));
    assert_eq!(store.forget(model, old, 2, MONDAY).await.unwrap(), Some(1));
    assert_eq!(store.forget(model, old, 2, MONDAY).await.unwrap(), Some(0));
    let until = Some(last_year + Duration::days(2));
    assert_eq!(forgotten(&store).await, Forgotten { baskets: 3, until });

    let learned = Position { baskets: 10, views: 2 };
    let many = Retention { learned, ..retention(5, last_year) };
    assert_eq!(store.forget(model, many, 100, MONDAY).await.unwrap(), Some(2));

    let left = store.changes(Position::default(), 100).await.unwrap();
    let sequences: Vec<i64> = left.baskets.iter().map(|basket| basket.sequence).collect();
    assert_eq!(sequences, [6, 7, 8, 9, 10]);
    assert_eq!(left.views.len(), 1);
    assert_eq!(forgotten(&store).await, Forgotten { baskets: 5, until: Some(MONDAY) });
}

async fn surveys_one_moment(store: Arc<dyn Store>) {
    let old = basket(&["MUG"], MONDAY - Duration::days(20));
    let young = basket(&["TEA"], MONDAY);
    keep(&store, 1, &old).await;
    let sequence = keep(&store, 2, &young).await;
    keep(&store, 3, &basket(&["TEA"], MONDAY)).await;
    let since = MONDAY - Duration::days(14);

    let survey = store.survey(sequence, since).await.unwrap();
    assert_eq!((survey.baskets, survey.young), (2, 1));
    assert!(survey.unheard.is_empty());

    store.inbox().purge(MONDAY + Duration::days(1), 100).await.unwrap();
    let survey = store.survey(sequence, since).await.unwrap();
    assert_eq!(survey.unheard, [young.order_id]);
}

async fn a_database_keeps_its_numbers(first: Database) {
    let store = open(&first, Faults::default()).await;
    assert_eq!(keep(&store, 1, &basket(&["MUG"], MONDAY)).await, 1);
    assert_eq!(count(&store, 2, &view("MUG", MONDAY)).await, 1);
    let model = Follower::random();
    store.follow(model, MONDAY).await.unwrap();
    let everything = retention(i64::MAX, MONDAY + Duration::days(1));
    assert_eq!(store.forget(model, everything, 10, MONDAY).await.unwrap(), Some(2));

    drop(store);
    let store = open(&first, Faults::default()).await;

    assert_eq!(keep(&store, 3, &basket(&["MUG"], MONDAY)).await, 2);
    assert_eq!(count(&store, 4, &view("MUG", MONDAY)).await, 2);
}

async fn opened(database: &Database) -> Arc<dyn Store> {
    open(database, Faults::default()).await
}

trellis_testkit::on_each_database! {
    opened:
    reads_what_was_kept_in_the_order_of_commits,
    hears_an_event_once,
    shows_a_count_again_when_it_has_grown,
    forgets_what_is_old_or_too_much,
    surveys_one_moment,
}

#[tokio::test]
async fn a_number_comes_back_neither_after_a_deletion_nor_after_a_restart() {
    a_database_keeps_its_numbers(Database::sqlite("recommendation")).await;
    let Some(database) = Database::postgres().await else { return };
    a_database_keeps_its_numbers(database).await;
}
