//! Deletes sessions that lapsed, and brings addresses into order.
//!
//! A lapsed session proves nothing to anyone, deleted or not; this only keeps
//! the table as small as it can be.

use std::sync::Arc;
use std::time::Duration;

use trellis_chassis::{Clock, Shutdown};

use crate::domain::SessionLimits;
use crate::error::Error;
use crate::store::Store;

const EVERY: Duration = Duration::from_mins(1);
/// How many sessions one unit of work deletes, so that no other waits long for it.
const BATCH: u32 = 500;

pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: SessionLimits,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut ticks = shutdown.ticks(EVERY);
    while ticks.next().await {
        // A store that is down comes back, or its other callers say so.
        if let Err(error) = sweep(&*store, &*clock, &limits, &shutdown).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "lapsed sessions and addresses were not looked after"
            );
        }
    }
    Ok(())
}

/// Nobody can use a session after its lifetime, so it falls idle like the rest:
/// the time of last use is all that must be looked at.
async fn sweep(
    store: &dyn Store,
    clock: &dyn Clock,
    limits: &SessionLimits,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    store.look_after_addresses(clock.now()).await?;
    let last_seen = clock.now() - limits.idle;
    while !shutdown.is_requested() && store.purge_sessions(last_seen, BATCH).await? == BATCH {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::{Bucket, UserId};
    use trellis_chassis::ManualClock;
    use trellis_storage::Options;
    use trellis_testkit::Database;

    use super::*;
    use crate::domain::{PasswordHash, Session, SessionToken, User};

    #[tokio::test]
    async fn a_sweep_deletes_all_that_is_idle_and_nothing_else() {
        let database = Database::chosen("user").await;
        let url = database.url().parse().unwrap();
        let store = crate::store::open(&url, &Options::default()).await.unwrap();
        let clock = ManualClock::new(datetime!(2026-01-01 12:00 UTC));
        let limits =
            SessionLimits { idle: Duration::from_mins(30), lifetime: Duration::from_hours(12) };
        let id = UserId::new(clock.now(), Bucket::random());
        let session =
            || Session::begin(SessionToken::random(id.bucket()).hash(), id, clock.now(), &limits);
        let user = User {
            id,
            email: "ada@example.com".parse().unwrap(),
            display_name: "Ada".parse().unwrap(),
            create_time: clock.now(),
            update_time: clock.now(),
        };
        let hash = PasswordHash::stored("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned());
        let first = session();
        store.create_user(user, hash, first.clone()).await.unwrap();
        let others = (0..BATCH).map(|_| store.open_session(session(), None));
        futures::future::try_join_all(others).await.unwrap();
        clock.advance(limits.idle);
        let live = session();
        store.open_session(live.clone(), None).await.unwrap();

        sweep(&*store, &clock, &limits, &Shutdown::default()).await.unwrap();

        assert_eq!(store.session(first.token_hash).await.unwrap(), None);
        assert_eq!(store.session(live.token_hash).await.unwrap(), Some(live));
        assert_eq!(store.purge_sessions(clock.now() - limits.idle, BATCH).await.unwrap(), 0);
    }
}
