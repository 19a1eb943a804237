//! What can be set, and where a value comes from.
//!
//! Defaults, then `trellis.toml`, then variables named `TRELLIS_…`. A key that
//! nobody knows stops the process, so a misspelt one is not silently ignored.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::SecretString;
use serde::Deserialize;
use trellis_cache::RedisUrl;
use trellis_events::bus::NatsUrl;
use trellis_storage::Url;

use crate::role::{Role, Roles};

/// Sections whose keys have a variable of their own, as `TRELLIS_USER_DATABASE`.
const SECTIONS: [&str; 7] =
    ["gateway", "user", "inventory", "payment", "order", "recommendation", "peers"];

/// The password of `docker-compose.yml`, which everybody can read there.
const PUBLISHED_PASSWORD: &str = "laptop-only";

const DATABASE_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// The settings of a process.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where calls are answered.
    pub listen: Option<String>,
    /// Where health is asked for.
    pub admin_listen: Option<String>,
    /// Where the other services of a process that runs the gateway are reached.
    pub internal_listen: Option<String>,
    /// Where records are kept.
    pub data_dir: PathBuf,
    /// How many connections a service may have to its Postgres server.
    pub database_connections: NonZeroU32,
    /// What those who run the shop must show.
    pub admin_token: Option<SecretString>,
    /// Whether an empty catalogue is filled with samples.
    pub sample_catalogue: bool,
    /// Seconds between "not ready" and the closing of the doors.
    pub leave_seconds: Option<u64>,
    /// Seconds that calls in flight may take to finish at a stop.
    pub grace_seconds: u64,
    /// The broker that carries events; without one, services call one another.
    pub nats: Option<NatsUrl>,
    /// On how many of the broker's servers events are kept, 1 to 5.
    pub nats_replicas: Replicas,
    /// What processes share of what is kept at hand; without one, each keeps its own.
    pub redis: Option<RedisUrl>,
    /// Where sessions are kept at hand, if that is another Redis.
    pub session_redis: Option<RedisUrl>,
    /// Where services are that run elsewhere.
    pub peers: Peers,
    /// The gateway's own.
    pub gateway: trellis_gateway::Settings,
    /// The user service's own.
    pub user: trellis_user::Settings,
    /// The inventory service's own.
    pub inventory: trellis_inventory::Settings,
    /// The payment service's own.
    pub payment: trellis_payment::Settings,
    /// The order service's own.
    pub order: trellis_order::Settings,
    /// The recommendation service's own.
    pub recommendation: trellis_recommendation::Settings,
}

/// The addresses of services that run in other processes, as `http://host:port`, or
/// several of these with commas in between.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// The user service.
    pub user: Option<String>,
    /// The inventory service.
    pub inventory: Option<String>,
    /// The payment service.
    pub payment: Option<String>,
    /// The order service.
    pub order: Option<String>,
    /// The recommendation service.
    pub recommendation: Option<String>,
}

/// A number of servers, 1 to 5.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u8")]
pub struct Replicas(u8);

impl Replicas {
    /// The number.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Replicas {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if (1..=5).contains(&number) { Ok(Self(number)) } else { Err("must be 1 to 5") }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            admin_listen: None,
            internal_listen: None,
            data_dir: PathBuf::from("./trellis-data"),
            database_connections: DATABASE_CONNECTIONS,
            admin_token: None,
            sample_catalogue: true,
            leave_seconds: None,
            grace_seconds: 20,
            nats: None,
            nats_replicas: Replicas::default(),
            redis: None,
            session_redis: None,
            peers: Peers::default(),
            gateway: trellis_gateway::Settings::default(),
            user: trellis_user::Settings::default(),
            inventory: trellis_inventory::Settings::default(),
            payment: trellis_payment::Settings::default(),
            order: trellis_order::Settings::default(),
            recommendation: trellis_recommendation::Settings::default(),
        }
    }
}

impl Config {
    /// Reads the settings; `file` is that of `--config`.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        trellis_chassis::config::load(file, &SECTIONS).context("the settings cannot be used")
    }

    /// Where calls are answered: by anyone in a fleet, by this machine in one process.
    pub fn listen(&self, roles: &Roles) -> String {
        self.listen.clone().unwrap_or_else(|| format!("{}:8080", default_host(roles)))
    }

    /// Where health is asked for.
    pub fn admin_listen(&self, roles: &Roles) -> String {
        self.admin_listen.clone().unwrap_or_else(|| format!("{}:9464", default_host(roles)))
    }

    /// Seconds that a balancer is given to look away. Nobody balances over one process.
    pub fn leave_seconds(&self, roles: &Roles) -> u64 {
        self.leave_seconds.unwrap_or(if roles.are_all() { 0 } else { 5 })
    }

    /// Where the service of `role` keeps its records.
    pub fn database(&self, role: Role) -> Option<Url> {
        let set = match role {
            Role::Gateway => return None,
            Role::User => &self.user.database,
            Role::Inventory => &self.inventory.database,
            Role::Payment => &self.payment.database,
            Role::Order => &self.order.database,
            Role::Recommendation => &self.recommendation.database,
        };
        let file = || Url::Sqlite(self.data_dir.join(format!("{role}.db")));
        Some(set.clone().unwrap_or_else(file))
    }

    /// Whether any engine is reached with a password that everybody can read.
    pub fn has_published_password(&self) -> bool {
        let redis = [&self.redis, &self.session_redis];
        Role::ALL
            .into_iter()
            .filter_map(|role| self.database(role))
            .any(|url| url.has_password(PUBLISHED_PASSWORD))
            || redis.into_iter().flatten().any(|url| url.has_password(PUBLISHED_PASSWORD))
            || self.nats.as_ref().is_some_and(|url| url.has_password(PUBLISHED_PASSWORD))
    }
}

impl Peers {
    /// The address of the service of `role`, if one is set.
    pub fn get(&self, role: Role) -> Option<&str> {
        match role {
            Role::Gateway => None,
            Role::User => self.user.as_deref(),
            Role::Inventory => self.inventory.as_deref(),
            Role::Payment => self.payment.as_deref(),
            Role::Order => self.order.as_deref(),
            Role::Recommendation => self.recommendation.as_deref(),
        }
    }
}

fn default_host(roles: &Roles) -> &'static str {
    if roles.are_all() { "127.0.0.1" } else { "0.0.0.0" }
}
