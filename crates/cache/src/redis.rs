//! A Redis server, of which nobody may depend that it is there.
//!
//! Every command has 50 ms, and when five in a row have failed none is sent for a while: a
//! server that is away, or that does not answer, costs nearly nothing.

mod connection;
mod tracking;
mod url;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use trellis_chassis::Shutdown;
use trellis_resilience::core::breaker;
use trellis_resilience::exec::{BuildError, ExecError, Executor};
use trellis_resilience::registry::Registry;

use connection::{Connection, Request};

pub use redis::{Script, cmd};
pub use trellis_resilience::exec::Operation;

pub(crate) use tracking::{Listener, TOMBSTONES};
pub use url::{RedisUrl, RedisUrlError};

/// How long a command may take, connecting included, if nothing else is said.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// The connection is given up by who waits for it, and not by the executor.
const MARGIN: Duration = Duration::from_millis(10);
/// Commands in flight; more are refused.
const IN_FLIGHT: usize = 1_024;

/// A server. Cheap to clone; all clones are one connection and one breaker.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    url: RedisUrl,
    patience: Duration,
    connection: Connection,
    executor: Executor,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
    is_listening: AtomicBool,
}

/// Redis did not do it, as far as is known. Who asked goes on without.
#[derive(Debug, thiserror::Error)]
#[error("Redis cannot be asked")]
pub struct Unavailable(#[source] ExecError<RedisError>);

impl Redis {
    /// Connects nobody yet. `name` is what operators see, such as `redis.cache`.
    /// A command has [`PATIENCE`].
    pub fn new(name: &str, url: RedisUrl, registry: &Registry) -> Result<Self, BuildError> {
        Self::with_patience(name, url, registry, PATIENCE)
    }

    /// As [`new`](Self::new), with another limit for each command, up to 900 ms.
    pub fn with_patience(
        name: &str,
        url: RedisUrl,
        registry: &Registry,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        // It is only an aid: it is let go of soon, and tried again soon.
        let breaker = breaker::Settings {
            open_base: Duration::from_millis(200),
            open_cap: Duration::from_secs(2),
            half_open_max: Duration::from_secs(1),
            ramp: Duration::from_secs(1),
            ..breaker::Settings::default()
        };
        let executor = Executor::builder(name)
            .registry(registry)
            .breaker(breaker)
            .bulkhead(IN_FLIGHT)
            .build()?;
        let client = redis::Client::open(url.info()).expect("the URL was parsed before");
        Ok(Self(Arc::new(Shared {
            url,
            patience,
            connection: Connection::new(client),
            executor,
            listeners: Mutex::default(),
            is_listening: AtomicBool::new(false),
        })))
    }

    /// Listens from now on to what other processes declare outdated, on a connection of its
    /// own, until a stop is requested.
    pub fn follow(&self, shutdown: &Shutdown) {
        shutdown.spawn("redis.follow", self.clone().listen(shutdown.clone()));
    }

    /// An operation of this name, which may be tried once.
    pub fn operation(&self, name: &'static str) -> Operation {
        Operation::safe(name).attempts(1).timeout(self.0.patience + MARGIN)
    }

    /// Sends a command.
    pub async fn query<T: FromRedisValue>(
        &self,
        operation: &Operation,
        command: &Cmd,
    ) -> Result<T, Unavailable> {
        self.run(operation, Request::Command(command)).await
    }

    /// Runs a script, which Redis keeps from the first time on.
    pub async fn invoke<T: FromRedisValue>(
        &self,
        operation: &Operation,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        self.run(operation, Request::Script(script)).await
    }

    async fn run<T: FromRedisValue>(
        &self,
        operation: &Operation,
        request: Request<'_>,
    ) -> Result<T, Unavailable> {
        let Shared { connection, executor, patience, .. } = &*self.0;
        let run = executor.run(operation, |_| connection.perform(*patience, request));
        run.await.map_err(Unavailable)
    }

    pub(crate) fn subscribe(&self, listener: Weak<dyn Listener>) {
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() != 0);
        listeners.push(listener);
    }

    /// Whether it would be heard if another process declared something outdated.
    pub fn is_listening(&self) -> bool {
        self.0.is_listening.load(Ordering::Acquire)
    }
}

impl Shared {
    fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Release);
    }

    fn listeners(&self) -> Vec<Arc<dyn Listener>> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("url", &self.0.url).finish_non_exhaustive()
    }
}
