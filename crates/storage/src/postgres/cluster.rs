//! The servers that one database is on: a primary and its replicas.
//!
//! A database on one server has nobody to watch it, and no units of work that wait for
//! another: then all of this costs nothing.

mod watched;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::time::{Instant, timeout, timeout_at};
use trellis_consistency::Position;

use super::{
    board::{Board, Route},
    connect::{self, Losses},
    meters::ServerMeters,
    turns::Turns,
};
use crate::{Error, Options, PostgresUrl, url};

pub(super) use watched::{Permit, Watched};

/// How long units that have not begun wait for a primary, if their call has so long.
pub(super) const FAILOVER: Duration = Duration::from_secs(5);
/// How long a read waits for a replica to get what it needs.
const CATCH_UP: Duration = Duration::from_millis(20);
/// How long the opening waits until all servers have been asked once.
const FIRST_LOOK: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) servers: Vec<Arc<Server>>,
    /// Where there are several servers.
    pub(super) watched: Option<Arc<Watched>>,
}

/// One server, whatever its role is.
#[derive(Debug)]
pub(super) struct Server {
    index: usize,
    pub(super) pool: PgPool,
    pub(super) turns: Turns,
    pub(super) meters: ServerMeters,
    losses: Losses,
    watched: Option<Arc<Watched>>,
}

impl Cluster {
    pub(super) fn new(url: &PostgresUrl, options: &Options) -> Self {
        let (targets, name) = (url.servers(), url.database());
        let is_watched = 1 < targets.len();
        let connections = connect::max_connections(options);
        let watched = is_watched.then(|| {
            let places: Vec<String> = targets.iter().map(url::place).collect();
            let metrics = &options.metrics;
            Arc::new(Watched::new(metrics, &name, options.shard, &places, connections))
        });
        let servers = targets.into_iter().enumerate().map(|(index, target)| {
            let pool_name =
                if is_watched { format!("{name}.{}", url::place(&target)) } else { name.clone() };
            let losses = Losses::default();
            Arc::new(Server {
                index,
                pool: connect::pool(target, options, losses.clone(), is_watched),
                turns: Turns::new(connections),
                meters: ServerMeters::new(&options.metrics, &pool_name, connections as usize),
                losses,
                watched: watched.clone(),
            })
        });
        Self { servers: servers.collect(), watched }
    }

    /// Waits until all servers have been asked once, but not long: those that are away
    /// are none that need be waited for.
    pub(super) async fn look_around(&self) {
        if let Some(watched) = &self.watched {
            let heard = watched.find(|board| board.is_heard().then_some(()));
            let _ = timeout(FIRST_LOOK, heard).await;
        }
    }

    /// The server that takes writes. While none does, or none is known to, it is waited
    /// for until then.
    pub(super) async fn primary(&self, until: Instant) -> Result<&Arc<Server>, Error> {
        let Some(watched) = &self.watched else { return Ok(&self.servers[0]) };
        let found = timeout_at(until, watched.find(|board| board.primary())).await;
        found.map(|server| &self.servers[server]).map_err(|_| Error::Lost(None))
    }

    /// A replica that has what is needed, which is waited for a little; `None` where the
    /// primary has to be asked. Whoever is sent there because there is no replica at all
    /// needs a permit.
    pub(super) async fn replica(
        &self,
        needed: Position,
    ) -> Result<(Option<&Arc<Server>>, Option<Permit<'_>>), Error> {
        let Some(watched) = &self.watched else { return Ok((None, None)) };
        let route = watched.board().route(needed);
        match route {
            Route::Replica(server) => return Ok((Some(&self.servers[server]), None)),
            Route::None => return Ok((None, Some(watched.fall_back().await?))),
            Route::Wait => {}
        }
        let _waiting = watched.wait(needed);
        let caught_up = watched.find(|board| match board.route(needed) {
            Route::Replica(server) => Some(Some(server)),
            Route::None => Some(None),
            Route::Wait => None,
        });
        match timeout(CATCH_UP, caught_up).await {
            Ok(Some(server)) => Ok((Some(&self.servers[server]), None)),
            Ok(None) => Ok((None, Some(watched.fall_back().await?))),
            Err(_) => Ok((None, None)),
        }
    }
}

impl Server {
    /// A unit of work failed because of the server: its connections are lost, and if it
    /// is the primary, it is asked whether it still is.
    pub(super) fn lost(&self) {
        self.losses.note();
        if let Some(watched) = &self.watched {
            watched.board().doubt(self.index);
            watched.changed();
            watched.hurry();
        }
    }

    /// Returns when nobody need wait for a connection any more: the server is no primary,
    /// or no replica to read from, as it was when it was chosen.
    pub(super) async fn useless(&self, as_primary: bool) {
        let Some(watched) = &self.watched else { return std::future::pending().await };
        let useless = |board: &mut Board| {
            let is_useless =
                if as_primary { board.is_deposed(self.index) } else { board.is_out(self.index) };
            is_useless.then_some(())
        };
        watched.find(useless).await;
    }

    /// Whether units may no longer be committed here.
    pub(super) fn is_deposed(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.board().is_deposed(self.index))
    }

    /// Whether commits are to say where in the log they are.
    pub(super) fn has_replicas(&self) -> bool {
        self.watched.is_some()
    }

    /// A unit was committed at `position`.
    pub(super) fn wrote(&self, position: Position) -> Result<(), Error> {
        let Some(watched) = &self.watched else { return Ok(()) };
        let (is_outdated, is_outstanding) = {
            let mut board = watched.board();
            (board.is_outdated(position), board.wrote(position))
        };
        if is_outdated {
            // Another was promoted meanwhile, which may never have heard of it.
            return Err(Error::Lost(None));
        }
        if is_outstanding {
            watched.hurry();
        }
        Ok(())
    }
}
