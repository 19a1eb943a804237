//! Decides which services run here and how they reach one another.
//!
//! This is the only module that knows every service. Reading [`start`] top to
//! bottom gives the dependency order: a service is built after all that it calls.

mod events;
mod switch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tonic::service::Routes;
use trellis_cache::{Caches, Redis};
use trellis_chassis::transport::{Edge, Roads, Transport};
use trellis_chassis::{Clock, Front, Shutdown};
use trellis_events::bus::Subscriber;
use trellis_storage::Url;
use trellis_telemetry::Metrics;

use crate::admin_token;
use crate::config::Config;
use crate::edges;
use crate::role::{Role, Roles};

use events::Carrier;

/// What all services share: time, how they reach one another, and how databases are
/// opened.
#[derive(Clone, Debug)]
pub struct World {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How services reach one another.
    pub roads: Roads,
    /// What stands before the gateway.
    pub front: Front,
    /// How databases are opened; tests put faults in here. What they count goes to the
    /// metrics of the roads, whatever this says.
    pub storage: trellis_storage::Options,
}

/// The running services of this process.
#[derive(Debug)]
pub struct Shop {
    /// What the gateway answers, if it runs here.
    pub gateway: Option<Router>,
    local: BTreeMap<Role, Routes>,
    roads: Roads,
}

/// Starts the services of `roles`, which end when `shutdown` is requested.
pub async fn start(
    roles: &Roles,
    config: &Config,
    world: &World,
    shutdown: &Shutdown,
) -> anyhow::Result<Shop> {
    let metrics = world.roads.metrics().clone();
    let connections = config.database_connections.get();
    let storage = trellis_storage::Options { connections, metrics, ..world.storage.clone() };
    let redis = redis(config, world, shutdown)?;
    let (clock, counted) = (Arc::clone(&world.clock), world.roads.metrics().clone());
    let caches = Caches::new(redis.clone(), clock, counted, shutdown.clone());
    let mut services = Services { config, world, storage, redis, caches, local: BTreeMap::new() };
    let carrier = Carrier::new(config, world.roads.metrics());

    if roles.has(Role::Inventory) {
        services.inventory(shutdown).await?;
    }
    if roles.has(Role::Payment) {
        services.payment(shutdown).await?;
    }
    if roles.has(Role::Recommendation) {
        services.recommendation(shutdown).await?;
    }
    if roles.has(Role::User) {
        services.user(&carrier, shutdown).await?;
    }
    if roles.has(Role::Order) {
        services.order(&carrier, shutdown).await?;
    }
    let gateway =
        roles.has(Role::Gateway).then(|| services.gateway(&carrier, shutdown)).transpose()?;
    carrier.connect(roles, |role| services.subscriber(role), shutdown)?;
    Ok(Shop { gateway, local: services.local, roads: world.roads.clone() })
}

/// What the processes of a shop share, if there is one.
fn redis(config: &Config, world: &World, shutdown: &Shutdown) -> anyhow::Result<Option<Redis>> {
    let Some(url) = config.redis.clone() else { return Ok(None) };
    let redis = Redis::new("redis", url, world.roads.registry())?;
    redis.follow(shutdown);
    Ok(Some(redis))
}

impl Shop {
    /// What the services behind the gateway answer, on one listener.
    pub fn internal(self, shutdown: &Shutdown) -> anyhow::Result<Router> {
        switch::router(self.local, shutdown)
    }

    /// The roads to all services, in a process that runs them all.
    pub fn peers(&self) -> anyhow::Result<trellis_gateway::Peers> {
        let road = |role| self.local(role).with_context(|| format!("{role} does not run here"));
        Ok(trellis_gateway::Peers::over(
            &road(Role::User)?,
            &road(Role::Inventory)?,
            &road(Role::Payment)?,
            &road(Role::Order)?,
            &road(Role::Recommendation)?,
        ))
    }

    /// The road to a service that runs here.
    pub fn local(&self, role: Role) -> Option<Transport> {
        let edge = edges::between(Role::Gateway, role)?;
        Some(self.roads.local(&edge, self.local.get(&role)?.clone()))
    }
}

struct Services<'a> {
    config: &'a Config,
    world: &'a World,
    storage: trellis_storage::Options,
    redis: Option<Redis>,
    caches: Caches,
    local: BTreeMap<Role, Routes>,
}

impl Services<'_> {
    async fn inventory(&mut self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let store =
            trellis_inventory::store::open(&self.database(Role::Inventory)?, &self.storage).await?;
        let needs = trellis_inventory::Needs {
            store,
            clock: self.clock(),
            caches: self.caches(Role::Inventory)?,
        };
        let routes = trellis_inventory::start(&self.config.inventory, needs, shutdown).await?;
        if self.config.sample_catalogue {
            let edge = Edge::plain("catalogue.inventory");
            let inventory = self.world.roads.local(&edge, routes.clone());
            crate::catalogue::fill_if_empty(inventory).await?;
        }
        self.local.insert(Role::Inventory, routes);
        Ok(())
    }

    async fn payment(&mut self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let settings = &self.config.payment;
        let store =
            trellis_payment::store::open(&self.database(Role::Payment)?, &self.storage).await?;
        let sandbox = self.config.data_dir.join("payment-sandbox.db");
        let timeout = Duration::from_secs(settings.processor_timeout_seconds);
        let processor = trellis_payment::processor::open(
            settings,
            &sandbox,
            &self.storage,
            self.clock(),
            edges::processor(timeout),
            self.world.roads.registry(),
        )?;
        let needs = trellis_payment::Needs { store, processor, clock: self.clock() };
        let routes = trellis_payment::start(settings, needs, shutdown).await?;
        self.local.insert(Role::Payment, routes);
        Ok(())
    }

    async fn recommendation(&mut self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let database = self.database(Role::Recommendation)?;
        let store = trellis_recommendation::store::open(&database, &self.storage).await?;
        let needs =
            trellis_recommendation::Needs { store, clock: self.clock(), metrics: self.metrics() };
        let settings = &self.config.recommendation;
        let routes = trellis_recommendation::start(settings, needs, shutdown).await?;
        self.local.insert(Role::Recommendation, routes);
        Ok(())
    }

    async fn user(&mut self, carrier: &Carrier, shutdown: &Shutdown) -> anyhow::Result<()> {
        let store = trellis_user::store::open(&self.database(Role::User)?, &self.storage).await?;
        let bus = carrier.bus(Role::User);
        let (clock, metrics) = (self.clock(), self.metrics());
        let caches = self.caches(Role::User)?;
        let sessions = self.session_redis()?;
        let needs = trellis_user::Needs { store, bus, clock, metrics, caches, sessions };
        let routes = trellis_user::start(&self.config.user, needs, shutdown).await?;
        self.local.insert(Role::User, routes);
        Ok(())
    }

    async fn order(&mut self, carrier: &Carrier, shutdown: &Shutdown) -> anyhow::Result<()> {
        let needs = trellis_order::Needs {
            store: trellis_order::store::open(&self.database(Role::Order)?, &self.storage).await?,
            inventory: self.road(Role::Order, Role::Inventory)?,
            payment: self.road(Role::Order, Role::Payment)?,
            bus: carrier.bus(Role::Order),
            clock: self.clock(),
            metrics: self.metrics(),
        };
        let routes = trellis_order::start(&self.config.order, needs, shutdown).await?;
        self.local.insert(Role::Order, routes);
        Ok(())
    }

    fn gateway(&self, carrier: &Carrier, shutdown: &Shutdown) -> anyhow::Result<Router> {
        let road = |to| self.road(Role::Gateway, to);
        let needs = trellis_gateway::Needs {
            user: road(Role::User)?,
            inventory: road(Role::Inventory)?,
            payment: road(Role::Payment)?,
            order: road(Role::Order)?,
            recommendation: road(Role::Recommendation)?,
            roads: self.world.roads.clone(),
            front: self.world.front.clone(),
            bus: carrier.bus(Role::Gateway),
            clock: self.clock(),
            admin_token: admin_token::find_or_make(self.config)?,
            redis: self.redis.clone(),
        };
        trellis_gateway::start(&self.config.gateway, needs, shutdown)
    }

    /// What the service of `role` hears, and how it is reached.
    fn subscriber(&self, role: Role) -> anyhow::Result<Subscriber> {
        let deaf = || format!("{role} hears no events");
        let (consumer, kinds) = match role {
            Role::Order => (trellis_order::CONSUMER, trellis_order::SUBSCRIPTIONS),
            Role::Recommendation => {
                (trellis_recommendation::CONSUMER, trellis_recommendation::SUBSCRIPTIONS)
            }
            _ => anyhow::bail!(deaf()),
        };
        let edge = edges::events(role).with_context(deaf)?;
        Ok(Subscriber { consumer, kinds, transport: self.over(&edge, role)? })
    }

    fn road(&self, from: Role, to: Role) -> anyhow::Result<Transport> {
        let edge = edges::between(from, to);
        let edge = edge.with_context(|| format!("nothing says how {from} calls {to}"))?;
        self.over(&edge, to)
    }

    /// The short road where the service runs in this process, else the long one.
    fn over(&self, edge: &Edge, to: Role) -> anyhow::Result<Transport> {
        let roads = &self.world.roads;
        if let Some(routes) = self.local.get(&to) {
            return Ok(roads.local(edge, routes.clone()));
        }
        let variable = format!("TRELLIS_PEERS_{}", to.name().to_uppercase());
        let address = self.config.peers.get(to).with_context(|| {
            format!("nobody says where the {to} service is: set {variable}, or run it here")
        })?;
        roads.remote(edge, address).with_context(|| format!("{variable} cannot be used"))
    }

    fn database(&self, role: Role) -> anyhow::Result<Url> {
        self.config.database(role).with_context(|| format!("the {role} service keeps no records"))
    }

    /// Several processes may write to a server. Without something that they share, none of
    /// them knows what the others have changed.
    fn caches(&self, role: Role) -> anyhow::Result<Caches> {
        let is_alone = matches!(self.database(role)?, Url::Sqlite(_));
        let caches = self.caches.clone();
        Ok(if is_alone || self.config.redis.is_some() { caches } else { caches.off() })
    }

    fn session_redis(&self) -> anyhow::Result<Option<Redis>> {
        let Some(url) = self.config.session_redis.clone() else { return Ok(self.redis.clone()) };
        Ok(Some(Redis::new("redis.sessions", url, self.world.roads.registry())?))
    }

    fn metrics(&self) -> Metrics {
        self.world.roads.metrics().clone()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.world.clock)
    }
}
