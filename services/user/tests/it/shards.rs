//! Accounts in two databases, whose addresses may be in the other one.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use time::OffsetDateTime;
use time::macros::datetime;
use trellis_api::id::{BUCKETS, Bucket, UserId};
use trellis_storage::shards::mover::{Mover, Progress};
use trellis_storage::{self as storage, Options, Url};
use trellis_testkit::Database;
use trellis_user::Error;
use trellis_user::domain::{PasswordHash, Session, SessionLimits, SessionToken, User};
use trellis_user::store::{self, Store};

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const LIMITS: SessionLimits =
    SessionLimits { idle: Duration::from_mins(30), lifetime: Duration::from_hours(12) };

struct World {
    database: Database,
    store: Arc<dyn Store>,
}

impl World {
    async fn new() -> Option<Self> {
        let database = Database::shards().await?;
        let url = database.url().parse().unwrap();
        let store = store::open(&url, &Options::default()).await.unwrap();
        Some(Self { database, store })
    }

    async fn sign_up(&self, email: &str, now: OffsetDateTime) -> Result<(User, Session), Error> {
        let id = UserId::new(now, Bucket::random());
        let user = User {
            id,
            email: email.parse().unwrap(),
            display_name: "Ada".parse().unwrap(),
            create_time: now,
            update_time: now,
        };
        let hash = PasswordHash::stored("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned());
        let token = SessionToken::random(id.bucket());
        let session = Session::begin(token.hash(), id, now, &LIMITS);
        self.store.create_user(user.clone(), hash, session.clone()).await?;
        Ok((user, session))
    }

    /// What the directory says, of all addresses.
    async fn states(&self) -> Vec<String> {
        let rows = self.database.query("SELECT state FROM email_directory ORDER BY 1").await;
        rows.unwrap().into_iter().map(|mut row| row.remove(0).unwrap()).collect()
    }

    async fn assert_sound(&self, now: OffsetDateTime) {
        let checks = self.store.audit(now).await.unwrap();
        assert!(checks.iter().all(|check| check.violations.is_empty()), "{checks:?}");
    }
}

#[tokio::test]
async fn of_many_who_sign_up_with_one_address_one_gets_it() {
    let Some(world) = World::new().await else { return };

    let tries = join_all((0..32).map(|_| world.sign_up("ada@example.com", NOW))).await;

    let (made, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refused in refused {
        assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    }
    assert_eq!(world.states().await, ["active"]);
    world.assert_sound(NOW).await;
}

#[tokio::test]
async fn an_address_whose_sign_up_died_before_its_account_is_free_after_a_minute() {
    let Some(world) = World::new().await else { return };
    let (user, _) = world.sign_up("ada@example.com", NOW).await.unwrap();
    let died = "DELETE FROM sessions; DELETE FROM users;
                UPDATE email_directory SET state = 'pending', expire_time = '2026-01-01 12:01Z'";
    world.database.tamper(died).await;
    assert!(world.store.credentials(user.email.key()).await.unwrap().is_none());

    // It may still be alive.
    let waits = world.sign_up("ada@example.com", NOW).await;
    assert!(matches!(waits, Err(Error::Storage(storage::Error::Busy(_)))), "{waits:?}");
    world.assert_sound(NOW).await;

    let later = NOW + Duration::from_mins(1);
    let (again, _) = world.sign_up("ada@example.com", later).await.unwrap();
    let credentials = world.store.credentials(again.email.key()).await.unwrap().unwrap();
    assert_eq!(credentials.user.id, again.id);
    world.assert_sound(later).await;
}

#[tokio::test]
async fn an_account_whose_sign_up_died_before_its_end_is_one() {
    let Some(world) = World::new().await else { return };
    let (user, _) = world.sign_up("ada@example.com", NOW).await.unwrap();
    let died = "UPDATE email_directory SET state = 'pending', expire_time = '2026-01-01 12:01Z'";
    world.database.tamper(died).await;

    assert!(world.store.credentials(user.email.key()).await.unwrap().is_some());
    let later = NOW + Duration::from_hours(1);
    let taken = world.sign_up("ada@example.com", later).await;
    assert!(matches!(taken, Err(Error::EmailTaken)), "{taken:?}");
    world.assert_sound(later).await;

    world.store.look_after_addresses(later).await.unwrap();
    assert_eq!(world.states().await, ["active"]);
}

#[tokio::test]
async fn an_address_whose_erasure_died_half_way_is_free_and_forgotten() {
    let Some(world) = World::new().await else { return };
    world.sign_up("ada@example.com", NOW).await.unwrap();
    let died = "DELETE FROM sessions; DELETE FROM users;
                UPDATE email_directory SET state = 'pending', expire_time = '2026-01-01 12:01Z'";
    world.database.tamper(died).await;

    world.store.look_after_addresses(NOW).await.unwrap();
    assert_eq!(world.states().await, ["pending"], "its minute is not over");
    world.store.look_after_addresses(NOW + Duration::from_mins(1)).await.unwrap();

    assert!(world.states().await.is_empty());
    world.sign_up("ada@example.com", NOW).await.unwrap();
}

#[tokio::test]
async fn who_is_signed_in_stays_so_when_everything_moves() {
    let Some(world) = World::new().await else { return };
    let emails: Vec<_> = (0..40).map(|number| format!("ada{number}@example.com")).collect();
    let signed_up = join_all(emails.iter().map(|email| world.sign_up(email, NOW))).await;
    let Ok(Url::Shards(urls)) = world.database.url().parse() else { panic!("two are listed") };
    let (shards, tables) = store::shards(&urls, &Options::default()).await.unwrap();
    let all: Vec<_> = (0..BUCKETS).filter_map(Bucket::new).collect();

    let moved = Mover::new(&shards, tables).run(&all, 1, &Unwatched).await.unwrap();

    assert_eq!(moved.buckets, usize::from(BUCKETS / 2));
    for signed_up in signed_up {
        let (user, session) = signed_up.unwrap();
        let kept = world.store.session(session.token_hash).await.unwrap();
        assert_eq!(kept.as_ref(), Some(&session));
        let credentials = world.store.credentials(user.email.key()).await.unwrap();
        assert_eq!(credentials.unwrap().user, user);
    }
    let count = world.database.query("SELECT count(*) FROM users JOIN shard_here USING (bucket)");
    assert_eq!(count.await.unwrap().concat(), [Some("0".to_owned()), Some("40".to_owned())]);
    world.assert_sound(NOW).await;
}

struct Unwatched;

impl Progress for Unwatched {
    fn settles(&self, _: Duration) {}
    fn copied(&self, _: u64) {}
    fn switched(&self, _: usize, _: Duration) {}
}
