//! What other processes declare outdated, as Redis tells it.
//!
//! A connection of its own, over which nothing is asked, has Redis push the name of every
//! tombstone that somebody writes (`CLIENT TRACKING … BCAST`, RESP3). Values are not
//! followed: each fill of the shared cache would empty everybody's memory.
//!
//! What is said while nobody listens is lost. So whenever the connection ends, and again
//! when there is a new one, all that is in memory is forgotten.

use std::sync::Arc;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult,
    Value, cmd,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use trellis_chassis::Shutdown;

use super::{Redis, Shared};

/// What begins the name of every tombstone.
pub(crate) const TOMBSTONES: &str = "trellis:tombstone:1:";

/// How long the server may take to connect, to arm the connection, and to answer a ping.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a silent connection is asked whether it is there.
const PING: Duration = Duration::from_secs(1);
/// The waits between two connections.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A cache that wants to hear what others declare outdated.
pub(crate) trait Listener: Send + Sync {
    /// What stands between [`TOMBSTONES`] and the key, with a colon at its end.
    fn prefix(&self) -> &str;
    /// Somebody has declared this key outdated, or that was long ago.
    fn outdated(&self, key: &str);
    /// Anything may be outdated.
    fn forget_all(&self);
}

impl Redis {
    /// Listens until a stop is requested.
    pub(super) async fn listen(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut wait = FIRST_WAIT;
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                lost = listen_once(&self.0) => match lost {
                    Ok(error) => {
                        wait = FIRST_WAIT;
                        tracing::warn!(%error, "Redis no longer tells what is outdated");
                    }
                    Err(error) => tracing::debug!(%error, "Redis does not tell what is outdated"),
                },
            }
            self.0.set_listening(false);
            self.0.forget_all();
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            }
        }
    }
}

/// Listens until the connection is lost and says how; an error says that there was none.
async fn listen_once(shared: &Arc<Shared>) -> RedisResult<RedisError> {
    let ended = Arc::new(Notify::new());
    let hear = {
        let (shared, ended) = (Arc::downgrade(shared), Arc::clone(&ended));
        move |push: PushInfo| {
            match (push.kind, shared.upgrade()) {
                (PushKind::Invalidate, Some(shared)) => shared.hear(&push.data),
                (PushKind::Disconnection, _) => ended.notify_one(),
                _ => {}
            }
            Ok::<_, ()>(())
        }
    };
    let info = shared.url.info();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let config = AsyncConnectionConfig::new()
        .set_push_sender(hear)
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = timeout(PATIENCE, connecting).await.map_err(|_| overdue())??;
    let mut arm = cmd("CLIENT");
    arm.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(TOMBSTONES);
    arm.exec_async(&mut connection).await?;
    // What was kept until now was kept while nobody listened.
    shared.forget_all();
    shared.set_listening(true);
    tracing::info!("Redis tells what is outdated");
    loop {
        tokio::select! {
            () = ended.notified() => {
                return Ok(RedisError::from((ErrorKind::Io, "the connection has ended")));
            }
            () = sleep(PING) => {
                let pong = timeout(PATIENCE, cmd("PING").exec_async(&mut connection)).await;
                if let Err(error) = pong.map_err(|_| overdue()).flatten() {
                    return Ok(error);
                }
            }
        }
    }
}

impl Shared {
    /// Either a list of keys, or nothing, which means that all of them are gone.
    fn hear(&self, data: &[Value]) {
        match data {
            [Value::Array(keys)] => {
                for key in keys {
                    if let Value::BulkString(key) = key
                        && let Ok(key) = std::str::from_utf8(key)
                        && let Some(key) = key.strip_prefix(TOMBSTONES)
                    {
                        self.outdated(key);
                    }
                }
            }
            _ => self.forget_all(),
        }
    }

    fn outdated(&self, key: &str) {
        for listener in self.listeners() {
            if let Some(key) = key.strip_prefix(listener.prefix()) {
                listener.outdated(key);
            }
        }
    }

    fn forget_all(&self) {
        for listener in self.listeners() {
            listener.forget_all();
        }
    }
}

fn overdue() -> RedisError {
    RedisError::from((ErrorKind::Io, "the answer of Redis is overdue"))
}
