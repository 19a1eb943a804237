//! The task behind an endpoint: it connects, notices losses, and waits in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::attempt::{Link, connect};
use super::failure::ConnectionError;
use super::phase::{Pause, Phase};
use super::shared::{Live, Shared};
use crate::net::causes::chain;
use crate::observe::Event;

/// A connection that lived this long was good, also if nobody used it.
const GOOD: Duration = Duration::from_secs(1);

/// How often it is looked whether a connection is used; one that was not, the last
/// time and since, is not opened again when it is lost.
const LOOK: Duration = Duration::from_secs(30);

/// Runs from the first call until the endpoint is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    attempts: u64,
    /// Attempts and connections in a row that came to nothing.
    failures: u32,
    generation: u64,
    told: Told,
}

/// What listeners heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Connected,
    Lost,
}

/// How a connection ended.
struct End {
    /// Whether calls came of late.
    wanted: bool,
    /// `None`: in order, and after it was of use.
    cause: Option<ConnectionError>,
    /// Whether it was of use before.
    good: bool,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, attempts: 0, failures: 0, generation: 0, told: Told::Nothing }
    }

    /// Never returns; it is dropped when its endpoint is.
    pub(super) async fn run(mut self) {
        loop {
            self.attempts += 1;
            let shared = Arc::clone(&self.shared);
            let found = connect(&*shared.connector, &shared.address, &shared.settings).await;
            let wanted = match found {
                Ok(link) => self.serve(link).await,
                Err(cause) => {
                    self.retreat(cause).await;
                    true
                }
            };
            if wanted {
                shared.status.enter(Phase::Connecting { hopeful: self.failures == 0 });
            } else {
                self.idle().await;
            }
        }
    }

    /// Lets calls onto the connection until it takes no more, and then waits as long
    /// as its end suggests. Says whether there should be another one at once.
    async fn serve(&mut self, link: Link) -> bool {
        let End { wanted, cause, good } = self.watch_over(link).await;
        if good {
            self.failures = 0;
        }
        match cause {
            Some(cause) if good => self.tell_lost(&cause),
            Some(cause) => self.retreat(cause).await,
            None => tracing::debug!(endpoint = %self.shared.name, "connection ended in order"),
        }
        wanted
    }

    async fn watch_over(&mut self, link: Link) -> End {
        let Link { sender, mut driver } = link;
        let born = Instant::now();
        self.generation += 1;
        let live = Live { sender, generation: self.generation, used: AtomicBool::new(false) };
        let live = Arc::new(live);
        self.shared.current.store(Some(Arc::clone(&live)));
        self.shared.status.enter(Phase::Ready);
        self.tell_connected();

        let mut before = false;
        let ended = loop {
            match timeout(LOOK, &mut driver).await {
                Ok(ended) => break ended,
                Err(_) => before = live.used.swap(false, Ordering::Relaxed),
            }
        };
        self.shared.current.store(None);

        let wanted = before || live.used.load(Ordering::Relaxed);
        let proven = self.shared.proven.load(Ordering::Relaxed) >= self.generation;
        let good = proven || born.elapsed() >= GOOD;
        let cause = match ended {
            Ok(Ok(())) if good => None,
            Ok(Ok(())) => Some(ConnectionError::Useless),
            Ok(Err(error)) => Some(ConnectionError::Lost(error)),
            Err(error) => Some(ConnectionError::Task(error)),
        };
        End { wanted, cause, good }
    }

    /// Leaves the peer alone for a while.
    async fn retreat(&mut self, cause: ConnectionError) {
        self.tell_lost(&cause);
        let Shared { settings, environment, status, .. } = &*self.shared;
        let wait = settings.backoff.delay(self.failures, Duration::ZERO, &environment.random);
        self.failures = self.failures.saturating_add(1);
        let until = Instant::now() + wait;
        let pause = Pause { attempt: self.attempts, until, cause: Arc::new(cause) };
        status.enter(Phase::Backoff(Arc::new(pause)));
        sleep(wait).await;
    }

    /// Waits until someone asks for a connection.
    async fn idle(&self) {
        let mut phases = self.shared.status.subscribe();
        self.shared.status.enter(Phase::Idle);
        phases
            .wait_for(|phase| !matches!(phase, Phase::Idle))
            .await
            .expect("the keeper holds the sender");
    }

    fn tell_connected(&mut self) {
        let Shared { target, name: endpoint, environment, .. } = &*self.shared;
        match self.told {
            Told::Connected => {
                tracing::debug!(peer = %target, %endpoint, "endpoint connected again");
            }
            Told::Nothing => tracing::debug!(peer = %target, %endpoint, "endpoint connected"),
            Told::Lost => tracing::info!(peer = %target, %endpoint, "endpoint returned"),
        }
        if self.told != Told::Connected {
            self.told = Told::Connected;
            let (target, endpoint) = (Arc::clone(target), Arc::clone(endpoint));
            environment.listener.on_event(&Event::EndpointConnected { target, endpoint });
        }
    }

    fn tell_lost(&mut self, cause: &ConnectionError) {
        let Shared { target, name: endpoint, environment, .. } = &*self.shared;
        let error = cause as &dyn std::error::Error;
        if self.told == Told::Lost {
            tracing::debug!(peer = %target, %endpoint, error, "endpoint is still lost");
            return;
        }
        tracing::warn!(peer = %target, %endpoint, error, "endpoint lost");
        self.told = Told::Lost;
        let (target, endpoint) = (Arc::clone(target), Arc::clone(endpoint));
        let cause = chain(cause);
        environment.listener.on_event(&Event::EndpointLost { target, endpoint, cause });
    }
}
