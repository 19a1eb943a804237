//! Accounts as their owners see them, kept at hand.
//!
//! What decides, such as a password or a session, is never read from here.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tonic::Status;
use trellis_api::id::UserId;
use trellis_api::shop::v1 as shop;
use trellis_cache::{Cache, Caches, Change, Settings, version_of};

use crate::api::render;
use crate::domain::User;
use crate::error::Error;
use crate::store::Store;

/// Who has changed their name should see it, whichever process they ask.
const PROFILES: Settings = Settings {
    unheard: Duration::ZERO,
    ..Settings::new("profiles", Duration::from_mins(5), Duration::from_hours(1))
};
/// No version of an account that is gone is good.
const GONE: u64 = u64::MAX;

pub(crate) struct Profiles {
    store: Arc<dyn Store>,
    cache: Cache<UserId, shop::User, Status>,
}

/// A write of an account that is under way. If nobody sees its end, it counts as done.
pub(crate) struct ProfileChange(UserId, Change<UserId, shop::User, Status>);

impl Profiles {
    pub(crate) fn new(store: Arc<dyn Store>, caches: &Caches) -> Self {
        Self { store, cache: caches.open(PROFILES) }
    }

    pub(crate) async fn get(&self, id: UserId) -> Result<shop::User, Status> {
        let store = Arc::clone(&self.store);
        let load = move || async move {
            match store.user(id).await {
                Ok(user) => Ok(Some((version_of(user.update_time), render::user(&user)))),
                Err(Error::UserNotFound) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        let user = self.cache.get(&id, load).await?.ok_or(Error::UserNotFound)?;
        Ok(shop::User::clone(&user))
    }

    /// Announces a change that is made at `now`.
    pub(crate) fn change(&self, id: UserId, now: OffsetDateTime) -> ProfileChange {
        ProfileChange(id, self.cache.change([id], version_of(now)))
    }

    /// Announces that the account is erased.
    pub(crate) fn erase(&self, id: UserId) -> ProfileChange {
        ProfileChange(id, self.cache.change([id], GONE))
    }
}

impl ProfileChange {
    /// The account is now like this.
    pub(crate) async fn done(self, user: &User) {
        self.1.done(vec![(self.0, version_of(user.update_time))]).await;
    }

    /// The account is gone.
    pub(crate) async fn erased(self) {
        self.1.done(vec![(self.0, GONE)]).await;
    }
}
