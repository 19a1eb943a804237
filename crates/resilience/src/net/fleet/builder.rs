//! Making a fleet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::uri::{Authority, InvalidUri};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Fleet, Settings, Shared};
use crate::core::environment::Environment;
use crate::net::balance::{Balancer, SettingsError};
use crate::net::connect::{Connect, TcpConnect};
use crate::net::resolve::{self, Resolve, Target};
use crate::net::{Address, task};

/// What a [`Fleet`] is made of. It needs to be told where the instances are; all else
/// has defaults.
#[derive(Clone, Debug)]
pub struct Builder {
    target: Arc<str>,
    source: Option<Source>,
    authority: Option<Authority>,
    zone: Option<Arc<str>>,
    settings: Settings,
    environment: Environment,
    connect: Arc<dyn Connect>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("it is not said where the instances of {0} are")]
    NoAddresses(Arc<str>),
    #[error("{0} cannot stand in requests as the name of the peer")]
    Authority(Arc<str>, #[source] InvalidUri),
    #[error("the settings of the balancer make no sense")]
    Settings(#[from] SettingsError),
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(Vec<Address>),
    Resolver(Arc<dyn Resolve>),
}

impl Builder {
    pub(super) fn new(target: &str) -> Self {
        Self {
            target: target.into(),
            source: None,
            authority: None,
            zone: None,
            settings: Settings::default(),
            environment: Environment::tokio(),
            connect: Arc::new(TcpConnect),
        }
    }

    /// The instances are at these addresses.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = impl Into<Address>>) -> Self {
        self.source = Some(Source::Fixed(addresses.into_iter().map(Into::into).collect()));
        self
    }

    /// The instances are where this says, also when that changes.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.source = Some(Source::Resolver(resolver));
        self
    }

    /// The instances are where a configuration says, and are called so in requests.
    #[must_use]
    pub fn peers(mut self, peers: Target) -> Self {
        self.authority = Some(peers.authority().clone());
        self.resolver(Arc::new(peers))
    }

    /// What the peers are called in requests. Default: as in metrics.
    #[must_use]
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Default: [`Settings::default`].
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Default: [`Environment::tokio`].
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Default: [`TcpConnect`].
    #[must_use]
    pub fn connect(mut self, connect: Arc<dyn Connect>) -> Self {
        self.connect = connect;
        self
    }

    /// Where the client is; it wins over the settings. See [`subset`](crate::net::subset).
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Makes the fleet. Nothing is connected before the first call. Must be called in a
    /// tokio runtime if there is a resolver.
    pub fn build(self) -> Result<Fleet, BuildError> {
        let Self { target, source, authority, zone, settings, mut environment, connect } = self;
        let source = source.ok_or_else(|| BuildError::NoAddresses(Arc::clone(&target)))?;
        let authority = authority.map_or_else(|| parse(&target), Ok)?;
        let mut balance = settings.balance;
        balance.zone = zone.or(balance.zone);
        let balancer = Balancer::new(Arc::clone(&target), balance, environment.clone())?;
        let share = |environment| {
            Arc::new(Shared {
                balancer,
                is_resolved: AtomicBool::new(false),
                changes: watch::Sender::new(()),
                settings: settings.endpoint,
                connect,
                authority,
                environment,
            })
        };
        match source {
            Source::Fixed(addresses) => {
                let shared = share(environment);
                shared.update(&addresses);
                Ok(Fleet { shared, _life: None })
            }
            Source::Resolver(resolver) => {
                let watched = resolve::watch(resolver, &environment, target);
                // Who is lost may have moved.
                environment.listener = watched.refresh.on_loss(environment.listener);
                let shared = share(environment);
                let end = CancellationToken::new();
                let life = Some(Arc::new(end.clone().drop_guard()));
                let follower = Arc::clone(&shared);
                task::spawn(async move {
                    end.run_until_cancelled(follower.follow(watched.addresses)).await;
                });
                Ok(Fleet { shared, _life: life })
            }
        }
    }
}

fn parse(target: &Arc<str>) -> Result<Authority, BuildError> {
    target.parse().map_err(|source| BuildError::Authority(Arc::clone(target), source))
}
