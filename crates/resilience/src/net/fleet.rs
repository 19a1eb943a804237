//! All instances of one target: who they are, a connection to each, and which one
//! takes the next call.

mod builder;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::uri::Authority;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::Address;
use super::balance::{self, Balancer, Candidate, NoEndpoints, Snapshot, Tried};
use super::connect::Connect;
use super::endpoint::{self, Endpoint};
use crate::core::clock::Time;
use crate::core::environment::Environment;

pub use self::builder::{BuildError, Builder};

/// An endpoint of a fleet that was chosen for one attempt.
pub type Picked = balance::Picked<Endpoint>;

/// The instances of one target. Clones are one; when the last is dropped, nobody asks
/// for addresses any more, and each connection is closed when what is in flight is done.
#[derive(Clone, Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    /// Ends the task that follows the resolver.
    _life: Option<Arc<DropGuard>>,
}

/// How endpoints are chosen, and how they connect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How endpoints are chosen, and which are left out.
    pub balance: balance::Settings,
    /// How each connects.
    pub endpoint: endpoint::Settings,
}

#[derive(Debug)]
struct Shared {
    balancer: Balancer<Endpoint>,
    is_resolved: AtomicBool,
    /// Changes whenever the set does.
    changes: watch::Sender<()>,
    settings: endpoint::Settings,
    connect: Arc<dyn Connect>,
    authority: Authority,
    environment: Environment,
}

impl Fleet {
    /// `target` is what the fleet is called in metrics and events.
    pub fn builder(target: &str) -> Builder {
        Builder::new(target)
    }

    pub fn target(&self) -> &Arc<str> {
        self.shared.balancer.target()
    }

    /// Chooses an endpoint, as [`Balancer::pick`] does. It fails while no address is
    /// known; it does not fail while none can be reached.
    pub fn pick(&self, tried: &Tried, now: Time) -> Result<Picked, NoEndpoints> {
        self.shared.balancer.pick(tried, now)
    }

    /// Whether a call that was at those in `tried` could go to another endpoint that is
    /// well.
    pub fn has_other(&self, tried: &Tried) -> bool {
        self.shared.balancer.has_other(tried)
    }

    /// How many endpoints are in use.
    pub fn len(&self) -> usize {
        self.shared.balancer.len()
    }

    /// Whether no address is known.
    pub fn is_empty(&self) -> bool {
        self.shared.balancer.is_empty()
    }

    /// Whether the resolver has answered. Until then, that no address is known means
    /// nothing.
    pub fn is_resolved(&self) -> bool {
        self.shared.is_resolved.load(Ordering::Relaxed)
    }

    /// Whether there is an endpoint of which it is not known that it cannot be reached.
    pub fn is_available(&self) -> bool {
        self.shared.balancer.is_available()
    }

    /// Ends when there are endpoints: at once if there are.
    pub async fn known(&self) {
        let mut changes = self.shared.changes.subscribe();
        // The sender is in `self`, so it does not fail.
        let _ = changes.wait_for(|()| !self.is_empty()).await;
    }

    /// Ends when there are endpoints, if there are none; else when the set is another.
    pub async fn changed(&self) {
        let mut changes = self.shared.changes.subscribe();
        // The sender is in `self`, so neither of them fails.
        if self.is_empty() {
            let _ = changes.wait_for(|()| !self.is_empty()).await;
        } else {
            let _ = changes.changed().await;
        }
    }

    /// Ends when a call has somewhere to go: at once if [`Self::is_available`], else as
    /// soon as an endpoint of those that are known, or become known, has a connection.
    pub async fn available(&self) {
        loop {
            let mut changes = self.shared.changes.subscribe();
            if self.is_available() {
                return;
            }
            let endpoints = self.shared.balancer.endpoints();
            let mut connections: FuturesUnordered<_> = endpoints.iter().map(connected).collect();
            tokio::select! {
                _ = changes.changed() => {}
                Some(()) = connections.next() => return,
            }
        }
    }

    /// What is known of the endpoints, for people.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        self.shared.balancer.snapshot(now)
    }

    /// Brings the gauges up to date, which else only calls do.
    pub fn publish(&self) {
        self.shared.balancer.publish();
    }
}

impl Shared {
    fn update(&self, addresses: &[Address]) {
        self.balancer.update(addresses, |address| {
            Endpoint::new(
                address.clone(),
                self.settings,
                Arc::clone(&self.connect),
                self.authority.clone(),
                &self.environment,
                Arc::clone(self.balancer.target()),
            )
        });
        self.is_resolved.store(true, Ordering::Relaxed);
        self.changes.send_replace(());
    }

    /// Takes over whatever the resolver finds.
    async fn follow(&self, mut addresses: watch::Receiver<Option<Arc<[Address]>>>) {
        loop {
            let known = addresses.borrow_and_update().clone();
            if let Some(known) = known {
                self.update(&known);
            }
            if addresses.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Candidate for Endpoint {
    fn is_available(&self) -> bool {
        Endpoint::is_available(self)
    }
}

/// Ends when there is a connection, however often it takes to get one.
async fn connected(endpoint: &Endpoint) {
    while endpoint.available().await.is_err() {}
}
