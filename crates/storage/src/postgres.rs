//! A handle on a database of Postgres: on one server, or on a primary with replicas.
//!
//! What it promises is what [`crate::Sqlite`] promises: a unit of work is durable at its
//! answer, or never happened. Many units run at once here, so a unit has to lock the rows
//! that it decides by. One that met another all the same, as in a deadlock, is undone and
//! done again.

mod board;
mod cluster;
mod commit;
mod connect;
mod failure;
mod meters;
pub(crate) mod migration;
mod reading;
mod session;
mod turns;
mod unit;
mod watch;

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgConnection;
use tokio::{task::JoinSet, time::Instant};

use self::{
    cluster::{Cluster, FAILOVER},
    meters::Meters,
    session::{Mode, Session, limit},
    unit::Watched,
};
use crate::{
    Error, Faults, Migration, Options, PostgresUrl,
    answer::{self, Answer, Outcome},
    meters::Kind,
    operation::Operation,
};

pub(crate) use failure::Refusal;
pub use session::Tx;
pub(crate) use session::{Door, ask};

/// How often a unit is done that meets others: a deadlock, or a row that it may not wait for.
const ATTEMPTS: u32 = 5;
/// The wait before a unit is done again doubles from here, and half of it is random.
const FIRST_WAIT: Duration = Duration::from_millis(2);

/// A database; cheap to clone, and all clones are one.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

struct Shared {
    url: PostgresUrl,
    cluster: Cluster,
    faults: Faults,
    meters: Meters,
    read_only: bool,
    /// Ends with the last clone.
    watch: Mutex<JoinSet<()>>,
}

impl Postgres {
    /// Connects, and migrates the database. Several processes may do so at once: one of
    /// them migrates, and the others wait for it.
    ///
    /// Of several servers, whichever is the primary is found out, now and whenever it
    /// changes.
    ///
    /// Fails with [`Error::Lost`] if the server does not answer within 5 s, and with
    /// [`Error::ReadOnly`] if there are replicas alone.
    pub async fn open(
        url: &PostgresUrl,
        migrations: &[Migration],
        options: &Options,
    ) -> Result<Self, Error> {
        let open = async {
            let mut connection = connect::first(url).await?;
            if options.read_only {
                migration::verify(&mut connection, migrations).await?;
            } else {
                migration::apply(&mut connection, migrations).await?;
            }
            let cluster = Cluster::new(url, options);
            let watched = cluster.watched.as_ref();
            let watch = watched.map(|watched| watch::watch(url, watched)).unwrap_or_default();
            cluster.look_around().await;
            let shared = Arc::new(Shared {
                url: url.clone(),
                cluster,
                faults: options.faults.clone(),
                meters: Meters::new(&options.metrics, url.database()),
                read_only: options.read_only,
                watch: Mutex::new(watch),
            });
            shared.meters.watch(&shared);
            Ok(Self { shared })
        };
        open.await.map_err(|error: Error| Error::Server { url: url.clone(), source: error.into() })
    }

    /// Does one durable unit of work: all of it is on the disk at the answer, or none of
    /// it ever will be; after [`Error::Lost`] and [`Error::Closed`] nobody knows which.
    ///
    /// An `Err` undoes the unit. It sees what others commit meanwhile (READ COMMITTED),
    /// so it locks what it decides by. It is done again, up to five times, if it met
    /// another in a deadlock: what it does must be all in the database. A unit whose
    /// caller goes away is undone, unless its commit is under way.
    ///
    /// Statements and waits for locks end with the deadline of the call that this is done
    /// for, and after 10 s where there is none. While there is no primary, a unit that has
    /// not begun waits as long for one, but 5 s at the most.
    pub async fn write<T, E, F>(&self, unit: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.write_behind(Door::Open, &unit).await)
    }

    /// As [`Postgres::write`], behind a door.
    pub(crate) async fn write_behind<T, E, F>(
        &self,
        door: Door,
        unit: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.operate(Kind::Write, async {
            if self.shared.read_only {
                return Err(Error::ReadOnly(None));
            }
            let mut attempt = 1;
            loop {
                let outcome = self.transact(Mode::Write, door, unit).await;
                if attempt == ATTEMPTS || fault(&outcome) != Some(Refusal::CONFLICT) {
                    return outcome;
                }
                tokio::time::sleep(wait(attempt)).await;
                attempt += 1;
            }
        })
        .await
    }

    /// Runs queries on one snapshot of the database, which change nothing. They see all
    /// that was ever committed; [`read_at`](Self::read_at) may be cheaper.
    pub async fn read<T, E, F>(&self, query: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.read_behind(Door::Open, &query).await)
    }

    /// As [`Postgres::read`], behind a door.
    pub(crate) async fn read_behind<T, E, F>(
        &self,
        door: Door,
        query: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.operate(Kind::Read, self.look(Mode::Read, door, query)).await
    }

    /// Runs one query, without a transaction around it: one round trip instead of three.
    /// It sees all that was ever committed; [`look_up_at`](Self::look_up_at) may be cheaper.
    pub async fn look_up<T, E, F>(&self, query: impl Fn(Tx) -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.look_up_behind(&query).await)
    }

    /// As [`Postgres::look_up`], with the error of storage told apart. There is no door
    /// where there is no transaction.
    pub(crate) async fn look_up_behind<T, E, F>(&self, query: &impl Fn(Tx) -> F) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.operate(Kind::LookUp, self.look(Mode::LookUp, Door::Open, query)).await
    }

    /// A connection that is nobody else's, and not of the pool.
    pub(crate) async fn apart(&self) -> Result<PgConnection, Error> {
        connect::first(&self.shared.url).await
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &PostgresUrl {
        &self.shared.url
    }

    /// Ends all clones. What comes later is answered with [`Error::Closed`].
    pub async fn close(&self) {
        self.shared.watch.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for server in &self.shared.cluster.servers {
            server.pool.close().await;
        }
    }

    async fn operate<T, E>(
        &self,
        kind: Kind,
        work: impl Future<Output = Outcome<T, E>>,
    ) -> Outcome<T, E> {
        Operation::begin(&self.shared.meters.operations, kind).run(pin!(work)).await
    }

    /// Asks the primary, and again if the connection turns out to be lost: that changes
    /// nothing.
    async fn look<T, E, F>(&self, mode: Mode, door: Door, query: &impl Fn(Tx) -> F) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut may_repeat = true;
        loop {
            let outcome = self.transact(mode, door, query).await;
            if !may_repeat || fault(&outcome) != Some(Refusal::LOST) {
                return outcome;
            }
            may_repeat = false;
        }
    }

    /// Does a unit on the primary.
    async fn transact<T, E, F>(
        &self,
        mode: Mode,
        door: Door,
        unit: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.shared.faults.check()?;
        let (session, tx) = Box::pin(self.shared.begin(mode, door)).await?;
        let outcome = self.run(session, unit(tx)).await;
        if let Some(watched) = &self.shared.cluster.watched {
            watched.saw_primary();
        }
        outcome
    }

    async fn run<T, E>(
        &self,
        session: Session,
        unit: impl Future<Output = Result<T, E>>,
    ) -> Outcome<T, E> {
        let faults = &self.shared.faults;
        let answer = session.limit(Watched::new(unit)).await?;
        match &answer {
            Answer { result: Ok(_), .. } => session.commit(faults).await?,
            Answer { fault: Some(Refusal::LOST), .. } => session.abandon(),
            Answer { result: Err(_), .. } => session.undo().await,
        }
        faults.check()?;
        Ok(answer)
    }
}

impl Shared {
    /// Begins a unit on the primary. As long as none of it was done, a server that fails
    /// or takes no writes is no reason to give up: another may be promoted.
    async fn begin(&self, mode: Mode, door: Door) -> Result<(Session, Tx), Error> {
        let until = Instant::now() + limit().min(FAILOVER);
        loop {
            let server = self.cluster.primary(until).await?;
            let error = match Session::begin(server, mode, door, true).await {
                Ok(begun) => return Ok(begun),
                Err(error) => error,
            };
            let may_pass = matches!(error, Error::Lost(_) | Error::ReadOnly(_));
            if self.cluster.watched.is_none() || !may_pass || until <= Instant::now() {
                return Err(error);
            }
            server.lost();
        }
    }
}

/// What storage had to do with a unit that failed.
fn fault<T, E>(outcome: &Outcome<T, E>) -> Option<&'static str> {
    match outcome {
        Ok(answer) => answer.fault,
        Err(error) => Some(error.word()),
    }
}

fn wait(attempt: u32) -> Duration {
    let most = FIRST_WAIT * 2_u32.pow(attempt);
    most / 2 + most.mul_f64(rand::random::<f64>() / 2.0)
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Postgres").field("url", &self.shared.url).finish_non_exhaustive()
    }
}
