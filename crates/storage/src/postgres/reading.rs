//! Reads that a replica may answer.

use std::sync::Arc;

use trellis_consistency::{Position, context};

use super::{
    Door, Postgres, commit, fault,
    session::{Mode, Session, Tx},
};
use crate::{
    Error, Freshness,
    answer::{self, Outcome},
    meters::Kind,
    postgres::{Refusal, cluster::Server},
};

impl Postgres {
    /// Runs queries on one snapshot of the database, which is as fresh as it has to be.
    ///
    /// What a replica cannot answer, because it is lost or because what it replays is in
    /// the way, the primary is asked for once. Fails with [`Error::Overloaded`] if there
    /// is no replica to ask, and the primary has enough of such reads: a fifth of its
    /// connections is theirs.
    pub async fn read_at<T, E, F>(
        &self,
        freshness: Freshness,
        query: impl Fn(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.ask_at(Kind::Read, freshness, &query).await)
    }

    /// Runs one query, without a transaction around it, as [`read_at`](Self::read_at).
    pub async fn look_up_at<T, E, F>(
        &self,
        freshness: Freshness,
        query: impl Fn(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        answer::tell(self.ask_at(Kind::LookUp, freshness, &query).await)
    }

    /// Either, with the error of storage told apart.
    pub(crate) async fn ask_at<T, E, F>(
        &self,
        kind: Kind,
        freshness: Freshness,
        query: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mode = if kind == Kind::LookUp { Mode::LookUp } else { Mode::Read };
        self.operate(kind, self.look_at(freshness, mode, query)).await
    }

    /// From here on no read sees less than the primary has now, whoever asks: what came
    /// here by other ways than a caller's writes has no token.
    pub(crate) async fn raise_floor(&self) -> Result<(), Error> {
        if let Some(watched) = &self.shared.cluster.watched {
            watched.raise_floor(self.look_up(commit::position).await?);
        }
        Ok(())
    }

    async fn look_at<T, E, F>(
        &self,
        freshness: Freshness,
        mode: Mode,
        query: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let cluster = &self.shared.cluster;
        // It is large, and waits for a network.
        let look = || Box::pin(self.look(mode, Door::Open, query));
        let Some(watched) = &cluster.watched else { return look().await };
        let needed = match freshness {
            _ if context::is_strict() => return look().await,
            Freshness::Primary => return look().await,
            Freshness::Session => watched.needed(),
            Freshness::Any => Position::default(),
        };
        let (replica, mut permit) = Box::pin(cluster.replica(needed)).await?;
        if let Some(replica) = replica {
            let outcome = Box::pin(self.ask_replica(replica, mode, query)).await;
            let failure = fault(&outcome);
            if failure != Some(Refusal::LOST) && failure != Some(Refusal::CONFLICT) {
                watched.meters.read(true);
                return outcome;
            }
            permit = Some(watched.fall_back().await?);
        }
        watched.meters.read(false);
        let outcome = look().await;
        drop(permit);
        outcome
    }

    async fn ask_replica<T, E, F>(
        &self,
        replica: &Arc<Server>,
        mode: Mode,
        query: &impl Fn(Tx) -> F,
    ) -> Outcome<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.shared.faults.check()?;
        let (session, tx) = Session::begin(replica, mode, Door::Open, false).await?;
        self.run(session, query(tx)).await
    }
}
