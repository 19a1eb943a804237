//! What a crash leaves behind.

use trellis_inventory::domain::State;
use trellis_storage::{Faults, Options, When};
use trellis_testkit::Database;

use crate::kit::{NOW, available, new_id, open_with, reserve, stock};

async fn url(database: &Database) -> String {
    database.url().to_owned()
}

async fn what_was_answered_survives_a_crash(database: String) {
    let (first, second) = (new_id(), new_id());
    {
        // The third commit is the second reservation's: it is kept, but nobody hears of it.
        let options = Options { faults: Faults::crash(3, When::AfterCommit), ..Options::default() };
        let store = open_with(&database, &options).await;
        stock(&*store, &[("MUG", 10)]).await;
        store.reserve_batch(vec![reserve(first, &[("MUG", 1)])], NOW).await.unwrap();
        store.reserve_batch(vec![reserve(second, &[("MUG", 1)])], NOW).await.unwrap_err();
    }

    let store = open_with(&database, &Options::default()).await;
    for id in [first, second] {
        assert_eq!(store.reservation(id).await.unwrap().state, State::Held);
        store.reserve_batch(vec![reserve(id, &[("MUG", 1)])], NOW).await.unwrap()[0]
            .as_ref()
            .unwrap();
    }
    assert_eq!(available(&*store, "MUG").await, 8);
}

async fn what_did_not_reach_the_disk_is_decided_anew(database: String) {
    let (first, second) = (new_id(), new_id());
    {
        let options =
            Options { faults: Faults::crash(2, When::BeforeCommit), ..Options::default() };
        let store = open_with(&database, &options).await;
        stock(&*store, &[("MUG", 10)]).await;
        store.reserve_batch(vec![reserve(first, &[("MUG", 10)])], NOW).await.unwrap_err();
    }

    let store = open_with(&database, &Options::default()).await;
    let batch = vec![reserve(second, &[("MUG", 10)]), reserve(first, &[("MUG", 10)])];
    let verdicts = store.reserve_batch(batch, NOW).await.unwrap();
    assert_eq!(verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    assert_eq!(available(&*store, "MUG").await, 0);
}

trellis_testkit::on_each_database! {
    url:
    what_was_answered_survives_a_crash,
    what_did_not_reach_the_disk_is_decided_anew,
}
