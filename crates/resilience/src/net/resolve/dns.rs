//! Addresses by name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;

use super::{Resolve, ResolveError, Resolved};
use crate::net::Address;

/// How long an answer is used, whatever the name server says: the sets behind the
/// names of a fleet change when the fleet does, not when a record grows old. Instances that
/// are added get their share of the calls no sooner.
const REFRESH: Duration = Duration::from_secs(5);

/// All hosts behind one name, with one port.
///
/// A host with addresses of both kinds counts once, by those of version 4. `/etc/hosts`
/// goes before name servers, and an address in the place of a name is taken as it is.
#[derive(Clone, Debug)]
pub struct Dns {
    host: Arc<str>,
    port: u16,
    refresh: Duration,
    /// `None`: those of the system.
    name_servers: Option<Arc<[SocketAddr]>>,
}

impl Dns {
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port, refresh: REFRESH, name_servers: None }
    }

    /// How long an answer is used. Default 5 s.
    #[must_use]
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// Asks these name servers instead of the system's.
    #[must_use]
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.name_servers = Some(servers.into_iter().collect());
        self
    }

    async fn lookup(&self) -> Result<Vec<Address>, NetError> {
        let found = self.resolver()?.lookup_ip(&*self.host).await?;
        let address = |ip: IpAddr| Address::from(SocketAddr::new(ip, self.port));
        Ok(found.iter().map(address).collect())
    }

    /// Made for each question, so that neither the system's files nor answers can be
    /// out of date: the name servers of the system have a cache of their own.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let (config, mut options) = match &self.name_servers {
            Some(servers) => (only(servers), ResolverOpts::default()),
            // Without any name server, names may still be in the hosts file.
            None => read_system_conf().unwrap_or_else(|error| {
                tracing::debug!(error = &error as &dyn std::error::Error, "no name servers");
                (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default())
            }),
        };
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
    }
}

impl Resolve for Dns {
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            let addresses = vec![Address::from(SocketAddr::new(ip, self.port))];
            return std::future::ready(Ok(Resolved { addresses, ..Resolved::default() })).boxed();
        }
        async move {
            let addresses = self.lookup().await.map_err(|source| ResolveError::Lookup {
                host: self.host.as_ref().to_owned(),
                source: source.into(),
            })?;
            Ok(Resolved { addresses, refresh: Some(self.refresh), incomplete: None })
        }
        .boxed()
    }
}

fn only(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |socket: &SocketAddr| {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = socket.port();
                connection
            });
        NameServerConfig::new(socket.ip(), true, connections.into())
    };
    ResolverConfig::from_name_servers(servers.iter().map(server).collect())
}
