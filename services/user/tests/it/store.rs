//! What every store promises.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use trellis_api::id::{Bucket, UserId};
use trellis_storage::Options;
use trellis_testkit::Database;
use trellis_user::Error;
use trellis_user::domain::{PasswordHash, Session, SessionLimits, SessionToken, User};
use trellis_user::store::{self, Store};

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const LIMITS: SessionLimits =
    SessionLimits { idle: Duration::from_mins(30), lifetime: Duration::from_hours(12) };

/// Of one account.
fn rows(email: &str) -> (User, PasswordHash, Session) {
    let id = UserId::new(NOW, Bucket::random());
    let user = User {
        id,
        email: email.parse().unwrap(),
        display_name: "Ada".parse().unwrap(),
        create_time: NOW,
        update_time: NOW,
    };
    let hash = PasswordHash::stored("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".to_owned());
    (user, hash, Session::begin(SessionToken::random(id.bucket()).hash(), id, NOW, &LIMITS))
}

async fn an_account_comes_back_as_it_was_stored(store: Arc<dyn Store>) {
    let (user, hash, session) = rows("Ada@example.com");
    store.create_user(user.clone(), hash.clone(), session.clone()).await.unwrap();

    assert_eq!(store.user(user.id).await.unwrap(), user);
    assert_eq!(store.session(session.token_hash).await.unwrap(), Some(session));
    let credentials = store.credentials(user.email.key()).await.unwrap().unwrap();
    assert_eq!((credentials.user, credentials.password_hash), (user, hash));
}

async fn a_taken_address_leaves_nothing_behind(store: Arc<dyn Store>) {
    let (first, hash, session) = rows("ada@example.com");
    store.create_user(first.clone(), hash, session).await.unwrap();

    let (second, hash, session) = rows("ADA@example.com");
    let refused = store.create_user(second.clone(), hash, session.clone()).await;

    assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    assert!(matches!(store.user(second.id).await, Err(Error::UserNotFound)));
    assert_eq!(store.session(session.token_hash).await.unwrap(), None);
    let credentials = store.credentials(second.email.key()).await.unwrap().unwrap();
    assert_eq!(credentials.user.id, first.id);
}

async fn a_session_needs_an_account(store: Arc<dyn Store>) {
    let (user, hash, session) = rows("ada@example.com");

    for hash in [None, Some(hash)] {
        let refused = store.open_session(session.clone(), hash).await;
        assert!(matches!(refused, Err(Error::UserNotFound)), "{refused:?}");
    }
    assert_eq!(store.session(session.token_hash).await.unwrap(), None);
    assert!(matches!(store.user(user.id).await, Err(Error::UserNotFound)));
}

async fn the_time_of_last_use_never_goes_back(store: Arc<dyn Store>) {
    let (user, hash, session) = rows("ada@example.com");
    store.create_user(user, hash, session.clone()).await.unwrap();
    let later = NOW + Duration::from_mins(5);

    store.note_use(session.token_hash, later).await.unwrap();
    store.note_use(session.token_hash, NOW + Duration::from_mins(1)).await.unwrap();

    let noted = store.session(session.token_hash).await.unwrap().unwrap();
    assert_eq!(noted.last_seen_time, later);
}

async fn noting_the_use_of_an_ended_session_does_not_revive_it(store: Arc<dyn Store>) {
    let (user, hash, session) = rows("ada@example.com");
    store.create_user(user, hash, session.clone()).await.unwrap();

    store.end_session(session.token_hash).await.unwrap();
    store.note_use(session.token_hash, NOW + Duration::from_mins(5)).await.unwrap();

    assert_eq!(store.session(session.token_hash).await.unwrap(), None);
}

async fn sessions_are_purged_in_batches_and_live_ones_stay(store: Arc<dyn Store>) {
    let (user, hash, live) = rows("ada@example.com");
    store.create_user(user.clone(), hash, live.clone()).await.unwrap();
    store.note_use(live.token_hash, NOW + Duration::from_mins(1)).await.unwrap();
    for _ in 0..5 {
        let idle =
            Session::begin(SessionToken::random(user.id.bucket()).hash(), user.id, NOW, &LIMITS);
        store.open_session(idle, None).await.unwrap();
    }

    assert_eq!(store.purge_sessions(NOW, 3).await.unwrap(), 3);
    assert_eq!(store.purge_sessions(NOW, 3).await.unwrap(), 2);
    assert_eq!(store.purge_sessions(NOW, 3).await.unwrap(), 0);
    assert!(store.session(live.token_hash).await.unwrap().is_some());
}

async fn an_erased_account_is_told_of_once(store: Arc<dyn Store>) {
    let (user, hash, session) = rows("ada@example.com");
    store.create_user(user.clone(), hash, session.clone()).await.unwrap();

    store.delete_user(user.id, NOW).await.unwrap();
    let again = store.delete_user(user.id, NOW).await;

    assert!(matches!(again, Err(Error::UserNotFound)));
    assert_eq!(store.session(session.token_hash).await.unwrap(), None);
    assert!(store.credentials(user.email.key()).await.unwrap().is_none());
    let mut due = Vec::new();
    for outbox in store.outboxes() {
        due.extend(outbox.due(NOW, 10).await.unwrap());
    }
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].delivery.event.subject, user.id.to_string());
}

async fn open(database: &Database) -> Arc<dyn Store> {
    store::open(&database.url().parse().unwrap(), &Options::default()).await.unwrap()
}

trellis_testkit::on_each_database! {
    open, and shards:
    an_account_comes_back_as_it_was_stored,
    a_taken_address_leaves_nothing_behind,
    a_session_needs_an_account,
    the_time_of_last_use_never_goes_back,
    noting_the_use_of_an_ended_session_does_not_revive_it,
    sessions_are_purged_in_batches_and_live_ones_stay,
    an_erased_account_is_told_of_once,
}
