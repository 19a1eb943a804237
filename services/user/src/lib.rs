//! Accounts, credentials and sessions.
//!
//! The service knows who a customer is and proves it: a password opens a session,
//! and the session's token opens everything else. Passwords are kept as argon2id
//! hashes, tokens as SHA-256, and neither is ever printed. What is not here:
//! what a customer may do, which the gateway decides, and what a customer owns,
//! which the other services keep.

pub mod domain;

mod api;
mod error;
mod housekeeping;
mod meters;
mod passwords;
mod profiles;
mod session_cache;
mod settings;
pub mod store;
mod throttle;

use std::sync::Arc;

use tonic::service::Routes;
use trellis_api::limits::Bounded as _;
use trellis_api::user::v1::user_service_server::UserServiceServer;
use trellis_cache::{Caches, Redis};
use trellis_chassis::{Clock, Shutdown};
use trellis_events::bus::Bus;
use trellis_events::relay;
use trellis_telemetry::Metrics;

pub use self::error::Error;
pub use self::settings::Settings;
use self::store::Store;

use self::api::Users;
use self::meters::Meters;
use self::passwords::Passwords;
use self::profiles::Profiles;
use self::session_cache::SessionCache;
use self::throttle::Throttle;

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    pub store: Arc<dyn Store>,
    /// Where `user.deleted` goes.
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    /// Where the service counts.
    pub metrics: Metrics,
    /// Where profiles are kept at hand.
    pub caches: Caches,
    /// Where sessions are kept at hand, if there is such a place.
    pub sessions: Option<Redis>,
}

/// Starts the background work and returns what the service answers.
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    settings.check()?;
    let Needs { store, bus, clock, metrics, caches, sessions } = needs;
    let (memory, iterations, queue) =
        (settings.password_memory_kib, settings.password_iterations, settings.password_queue);
    let passwords =
        tokio::task::spawn_blocking(move || Passwords::new(memory, iterations, queue)).await??;
    let limits = settings.session_limits();

    let meters = Meters::new(&metrics);
    for (shard, outbox) in store.outboxes().into_iter().enumerate() {
        let (bus, clock, stop) = (Arc::clone(&bus), Arc::clone(&clock), shutdown.clone());
        let name = relay::name("user", shard);
        shutdown.spawn("user.relay", relay::run(name, outbox, bus, clock, metrics.clone(), stop));
    }
    shutdown.spawn(
        "user.housekeeping",
        housekeeping::run(Arc::clone(&store), Arc::clone(&clock), limits, shutdown.clone()),
    );

    let throttle = Throttle::new(settings.throttle_limits(), Arc::clone(&clock));
    let profiles = Profiles::new(Arc::clone(&store), &caches);
    let sessions = SessionCache::new(sessions, Arc::clone(&clock), shutdown.clone());
    let users = Users { store, profiles, sessions, passwords, throttle, limits, clock, meters };
    Ok(Routes::new(UserServiceServer::new(users).bounded()))
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needs").finish_non_exhaustive()
    }
}
