//! Connections, and what each of them is told at its beginning.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout};

use super::{board::Answer, watch};
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

/// How many connections there may be to each server.
pub(super) fn max_connections(options: &Options) -> u32 {
    if options.connections == 0 { DEFAULT_CONNECTIONS } else { options.connections }
}

/// Connects nobody yet. Where a watch knows who takes writes, connections need not be
/// asked for that.
pub(super) fn pool(
    target: PgConnectOptions,
    options: &Options,
    losses: Losses,
    is_watched: bool,
) -> PgPool {
    let read_only = options.read_only;
    let must_write = !read_only && !is_watched;
    let connect = target.application_name("trellis").options(SETTINGS);
    let connect = if read_only {
        connect.options([("default_transaction_read_only", "on")])
    } else {
        connect
    };
    PgPoolOptions::new()
        .max_connections(max_connections(options))
        .acquire_timeout(CONNECT)
        .idle_timeout(IDLE)
        .max_lifetime(LIFETIME)
        .test_before_acquire(false)
        .before_acquire(move |connection, lain| {
            let is_spared = losses.spare(lain.age);
            Box::pin(async move { Ok(is_spared && is_usable(connection, &lain, must_write).await) })
        })
        .connect_lazy_with(connect)
}

async fn is_usable(
    connection: &mut PgConnection,
    lain: &PoolConnectionMetadata,
    must_write: bool,
) -> bool {
    if lain.idle_for < FRESH {
        return true;
    }
    if !must_write {
        return connection.ping().await.is_ok();
    }
    let says: Result<String, _> =
        sqlx::query_scalar("SHOW transaction_read_only").fetch_one(connection).await;
    says.is_ok_and(|says| says == "off")
}

/// One to the primary that is nobody else's. A server that was just started may not answer
/// yet, so it is asked for as long as that takes.
pub(super) async fn first(url: &PostgresUrl) -> Result<PgConnection, Error> {
    let began = Instant::now();
    let targets = url.servers();
    loop {
        let attempt = if targets.len() == 1 {
            one(&targets[0], FIRST).await
        } else {
            primary(&targets).await
        };
        let error = match attempt {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let may_pass = matches!(error, Error::Lost(_) | Error::ReadOnly(None));
        if !may_pass || FIRST <= began.elapsed() {
            return Err(error);
        }
        sleep(AGAIN).await;
    }
}

async fn one(target: &PgConnectOptions, limit: Duration) -> Result<PgConnection, Error> {
    Ok(timeout(limit, target.connect()).await.map_err(|_| Error::Lost(None))??)
}

/// Asks all at once who is the primary; of two that say so, it is the one that was
/// promoted last.
async fn primary(targets: &[PgConnectOptions]) -> Result<PgConnection, Error> {
    let answers = targets.iter().map(async |target| {
        let mut connection = one(target, CONNECT).await?;
        let answer = watch::question(&mut connection).await.map_err(|_| Error::Lost(None))?;
        Ok::<_, Error>((connection, answer))
    });
    let mut found: Option<(PgConnection, Answer)> = None;
    let mut failure = Error::Lost(None);
    for answer in join_all(answers).await {
        match answer {
            Ok((_, Answer { is_replica: true, .. })) => failure = Error::ReadOnly(None),
            Ok((connection, answer)) => {
                if found.as_ref().is_none_or(|(_, known)| known.at < answer.at) {
                    found = Some((connection, answer));
                }
            }
            // Such as a password that is wrong.
            Err(error) if !matches!(error, Error::Lost(_)) => failure = error,
            Err(_) => {}
        }
    }
    found.map(|(connection, _)| connection).ok_or(failure)
}
