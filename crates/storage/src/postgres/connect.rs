//! Connections, and what each of them is told at its beginning.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, pool::PoolConnectionMetadata,
    postgres::PgPoolOptions,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{Error, Options, PostgresUrl};

/// How many there may be where nobody says otherwise.
const DEFAULT_CONNECTIONS: u32 = 10;
/// How long the making of one may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the first may take.
const FIRST: Duration = Duration::from_secs(5);
/// How long after a failure it is asked for again.
const AGAIN: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_mins(1);
const LIFETIME: Duration = Duration::from_mins(10);
/// How long one may lie before it is asked whether its server still takes writes: one
/// that became a replica answers everything else.
const FRESH: Duration = Duration::from_secs(1);

/// The server ends by itself what a process leaves behind when it vanishes, and what no
/// caller waits for any more.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("client_min_messages", "warning"),
];

/// When connections to a server were lost. Those that are older are lost as well, though
/// they may not know it yet.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    began: Instant,
    /// Of the last one, in milliseconds after `began`; 0 if there was none.
    last: Arc<AtomicU64>,
}

impl Default for Losses {
    fn default() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }
}

impl Losses {
    /// A connection was lost.
    pub(super) fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now.max(1), Ordering::Relaxed);
    }

    /// Whether one that was made `age` ago may have outlived the last loss.
    fn spare(&self, age: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last == 0 || age + Duration::from_millis(last) < self.began.elapsed()
    }
}

/// Connects nobody yet.
pub(super) fn pool(url: &PostgresUrl, options: &Options, losses: Losses) -> PgPool {
    let read_only = options.read_only;
    let connect = url.options().application_name("trellis").options(SETTINGS);
    let connect = if read_only {
        connect.options([("default_transaction_read_only", "on")])
    } else {
        connect
    };
    let max = if options.connections == 0 { DEFAULT_CONNECTIONS } else { options.connections };
    PgPoolOptions::new()
        .max_connections(max)
        .acquire_timeout(CONNECT)
        .idle_timeout(IDLE)
        .max_lifetime(LIFETIME)
        .test_before_acquire(false)
        .before_acquire(move |connection, lain| {
            let is_spared = losses.spare(lain.age);
            Box::pin(async move { Ok(is_spared && is_usable(connection, &lain, read_only).await) })
        })
        .connect_lazy_with(connect)
}

async fn is_usable(
    connection: &mut PgConnection,
    lain: &PoolConnectionMetadata,
    read_only: bool,
) -> bool {
    if lain.idle_for < FRESH {
        return true;
    }
    if read_only {
        return connection.ping().await.is_ok();
    }
    let says: Result<String, _> =
        sqlx::query_scalar("SHOW transaction_read_only").fetch_one(connection).await;
    says.is_ok_and(|says| says == "off")
}

/// One that is nobody else's. A server that was just started may not answer yet, so it is
/// asked for as long as that takes.
pub(super) async fn first(url: &PostgresUrl) -> Result<PgConnection, Error> {
    let began = Instant::now();
    loop {
        let attempt = timeout(FIRST, url.options().connect()).await;
        let error = match attempt.map_err(|_| Error::Lost(None)) {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error.into(),
            Err(error) => error,
        };
        if !matches!(error, Error::Lost(_)) || FIRST <= began.elapsed() {
            return Err(error);
        }
        sleep(AGAIN).await;
    }
}
