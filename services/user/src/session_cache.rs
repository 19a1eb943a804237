//! Sessions in Redis, so that most calls need not ask the store who is calling.
//!
//! The store alone decides. What Redis says is believed for a minute after the store was
//! asked, and a session that was ended is told to Redis after the store has forgotten it:
//! until Redis has heard, this process does not believe it. So a session that was ended is
//! over at once, and where that could not be heard, a minute later.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use tokio::time::sleep;
use trellis_api::id::UserId;
use trellis_cache::Redis;
use trellis_cache::redis::{Operation, Script};
use trellis_chassis::{Clock, Shutdown};

use crate::domain::{Session, SessionLimits, TokenHash};

/// How long the store's word is good for.
const BELIEVED: Duration = Duration::from_mins(1);
/// How long Redis remembers that a session is over: longer than anybody believes in it.
const REMEMBERED: Duration = Duration::from_mins(2);
/// The waits before Redis is told again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A session, unless it or its owner's account is over.
static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local found = redis.call('GET', KEYS[1])
        if not found or redis.call('EXISTS', KEYS[2]) == 1 then
            return false
        end
        local user = string.match(found, '^%S+')
        if redis.call('EXISTS', ARGV[1] .. user) == 1 then
            return false
        end
        return found
        ",
    )
});

/// Keeps a session, unless it or its owner's account is over.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
            redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        end
        ",
    )
});

#[derive(Clone)]
pub(crate) struct SessionCache(Option<Arc<Shared>>);

struct Shared {
    redis: Redis,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    get: Operation,
    put: Operation,
    end: Operation,
    /// What is over and Redis has yet to hear of, and until when that matters.
    untold: Mutex<HashMap<String, OffsetDateTime>>,
}

impl SessionCache {
    /// Without Redis it keeps nothing.
    pub(crate) fn new(redis: Option<Redis>, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        Self(redis.map(|redis| {
            let [get, put, end] =
                ["session.get", "session.put", "session.end"].map(|name| redis.operation(name));
            let untold = Mutex::default();
            Arc::new(Shared { redis, clock, shutdown, get, put, end, untold })
        }))
    }

    /// The session, if the store's last word about it is good.
    pub(crate) async fn get(&self, token: TokenHash) -> Option<Session> {
        let shared = self.0.as_ref()?;
        let mut script = GET.prepare_invoke();
        script.key(entry(token)).key(ended(token)).arg(ENDED_USER);
        let found: Option<String> = shared.redis.invoke(&shared.get, &script).await.ok()?;
        let (session, asked) = parse(token, &found?)?;
        let age = shared.clock.now() - asked;
        // From a clock that is far ahead it says nothing about its age.
        let is_good = age.unsigned_abs() < BELIEVED;
        let untold = shared.untold();
        let is_over =
            untold.contains_key(&ended(token)) || untold.contains_key(&ended_user(session.user_id));
        (is_good && !is_over).then_some(session)
    }

    /// Keeps what the store said about a session at `asked`, or has just been told.
    pub(crate) async fn put(
        &self,
        session: &Session,
        asked: OffsetDateTime,
        limits: &SessionLimits,
    ) {
        let Some(shared) = &self.0 else { return };
        let left = Duration::try_from(session.lapse_time(limits) - asked).unwrap_or_default();
        let millis = left.min(BELIEVED).as_millis();
        if millis == 0 {
            return;
        }
        let mut script = PUT.prepare_invoke();
        let (token, user) = (session.token_hash, session.user_id);
        script.key(entry(token)).key(ended(token)).key(ended_user(user));
        script.arg(render(session, asked)).arg(u64::try_from(millis).unwrap_or(u64::MAX));
        // If Redis does not hear it, the store is asked again.
        let _: Result<(), _> = shared.redis.invoke(&shared.put, &script).await;
    }

    /// The session is over, as the store knows already.
    pub(crate) async fn end(&self, token: TokenHash) {
        self.tell(ended(token)).await;
    }

    /// The account is gone, and all of its sessions with it, as the store knows already.
    pub(crate) async fn end_all(&self, user: UserId) {
        self.tell(ended_user(user)).await;
    }

    async fn tell(&self, name: String) {
        let Some(shared) = &self.0 else { return };
        let now = shared.clock.now();
        let until = now + BELIEVED;
        {
            let mut untold = shared.untold();
            // Those whose caller went away before Redis had heard.
            untold.retain(|_, until| now < *until);
            untold.insert(name.clone(), until);
        }
        if shared.told(&name).await {
            return;
        }
        let shared = Arc::clone(shared);
        shared.shutdown.clone().spawn("user.session.end", async move {
            let mut wait = FIRST_WAIT;
            // Afterwards nobody believes that it goes on.
            while shared.clock.now() < until {
                tokio::select! {
                    () = shared.shutdown.requested() => break,
                    () = sleep(wait.mul_f64(rand::random_range(0.5..=1.0))) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
                if shared.told(&name).await {
                    return Ok(());
                }
            }
            shared.untold().remove(&name);
            Ok(())
        });
    }
}

impl Shared {
    /// Tells Redis, and says whether it has heard.
    async fn told(&self, name: &str) -> bool {
        let mut set = trellis_cache::redis::cmd("SET");
        set.arg(name).arg(1).arg("PX").arg(u64::try_from(REMEMBERED.as_millis()).unwrap_or(0));
        let told: Result<(), _> = self.redis.query(&self.end, &set).await;
        if told.is_ok() {
            self.untold().remove(name);
        }
        told.is_ok()
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<String, OffsetDateTime>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ENDED_USER: &str = "trellis:session-user-ended:1:";

fn entry(token: TokenHash) -> String {
    format!("trellis:session:1:{}", text(token))
}

fn ended(token: TokenHash) -> String {
    format!("trellis:session-ended:1:{}", text(token))
}

fn ended_user(user: UserId) -> String {
    format!("{ENDED_USER}{user}")
}

fn text(token: TokenHash) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(token.digest)
}

fn render(session: &Session, asked: OffsetDateTime) -> String {
    let [created, seen, expires, asked] =
        [session.create_time, session.last_seen_time, session.expire_time, asked]
            .map(OffsetDateTime::unix_timestamp_nanos);
    format!("{} {created} {seen} {expires} {asked}", session.user_id)
}

/// The session, and when the store was asked.
fn parse(token_hash: TokenHash, text: &str) -> Option<(Session, OffsetDateTime)> {
    let (user, times) = text.split_once(' ')?;
    let mut times = times
        .split(' ')
        .map(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos.parse().ok()?).ok());
    let mut next = || times.next().flatten();
    let session = Session {
        token_hash,
        user_id: user.parse().ok()?,
        create_time: next()?,
        last_seen_time: next()?,
        expire_time: next()?,
    };
    Some((session, next()?))
}
