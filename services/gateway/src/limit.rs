//! How often one client address may call.
//!
//! With Redis, all gateways together; while it is away, and without it, each for itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Extensions, HeaderMap};
use sha2::{Digest as _, Sha256};
use tonic::Code;
use trellis_api::error;
use trellis_cache::{Redis, SharedRate};
use trellis_resilience::clock::{Clock, Time};
use trellis_resilience::core::rate::KeyedGcra;

use crate::Settings;

/// The most addresses that are told apart at a time, in about 4 MiB. Only those count
/// that have called within the last `burst / rate` seconds.
///
/// Whoever calls from more shares one rate with all newcomers: that an attacker has
/// many addresses must cost neither memory nor the customers who are here already.
const MOST_ADDRESSES: usize = 65_536;

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

#[derive(Clone)]
struct Limit {
    /// `None`: no limit is set.
    rate: Option<Arc<Rate>>,
    clock: Arc<dyn Clock>,
    trust_forwarded_for: bool,
}

struct Rate {
    local: KeyedGcra<IpAddr>,
    shared: Option<SharedRate>,
}

impl Rate {
    fn new(per_second: u32, burst: u32, redis: Option<Redis>) -> Self {
        let per_second = f64::from(per_second);
        let shared = redis.map(|redis| SharedRate::new(redis, "gateway", per_second, burst));
        Self { local: KeyedGcra::new(per_second, burst, MOST_ADDRESSES), shared }
    }

    /// What is too much for one gateway is too much for all, so a flood stays here. And
    /// should Redis go away, this gateway knows already who has called.
    async fn check(&self, site: IpAddr, now: Time) -> Result<(), Duration> {
        self.local.check(&site, now)?;
        let Some(shared) = &self.shared else { return Ok(()) };
        shared.check(&hash(site)).await.unwrap_or(Ok(()))
    }
}

/// Addresses are personal data, and do not stand in Redis as they are.
fn hash(site: IpAddr) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(site.to_string())[..16])
}

/// Tells handlers the client's address, and refuses calls over its limit.
pub(crate) fn layer(
    settings: &Settings,
    router: Router,
    clock: Arc<dyn Clock>,
    redis: Option<Redis>,
) -> Router {
    let Settings { rate_limit_per_second: per_second, rate_limit_burst: burst, .. } = *settings;
    let rate = (0 < per_second).then(|| Arc::new(Rate::new(per_second, burst, redis)));
    let limit = Limit { rate, clock, trust_forwarded_for: settings.trust_forwarded_for };
    router.layer(from_fn_with_state(limit, admit))
}

async fn admit(State(limit): State<Limit>, mut request: Request, next: Next) -> Response {
    let forwarded = limit.trust_forwarded_for.then(|| forwarded_for(request.headers())).flatten();
    let Some(address) = forwarded.or_else(|| peer(request.extensions())) else {
        return next.run(request).await;
    };
    if let Some(rate) = &limit.rate
        && let Err(wait) = rate.check(site(address), limit.clock.now()).await
    {
        let status = error::retry_later(
            Code::ResourceExhausted,
            "RATE_LIMITED",
            "too many calls from this address",
            wait,
        );
        return crate::error::refuse(request.headers(), &status).into_response();
    }
    request.extensions_mut().insert(ClientAddress(address));
    next.run(request).await
}

/// What shares a limit. Whoever has one IPv6 address has the 2^64 of its network too.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

/// The last entry is the one that our own proxy wrote; those before it can be
/// anything that the client made up.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
