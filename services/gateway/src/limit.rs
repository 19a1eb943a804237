//! How often one client address may call.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::{Extensions, HeaderMap};
use tonic::Code;
use trellis_api::error;
use trellis_chassis::Shutdown;

use crate::Settings;

/// How often the limiter forgets addresses that have been quiet.
const SWEEP: Duration = Duration::from_mins(1);

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

#[derive(Clone)]
struct Limit {
    limiter: Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>,
    trust_forwarded_for: bool,
}

/// Tells handlers the client's address, and refuses calls over its limit.
pub(crate) fn layer(settings: &Settings, router: Router, shutdown: &Shutdown) -> Router {
    let limiter = NonZeroU32::new(settings.rate_limit_per_second).map(|rate| {
        let burst = NonZeroU32::new(settings.rate_limit_burst).unwrap_or(NonZeroU32::MIN);
        Arc::new(DefaultKeyedRateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)))
    });
    if let Some(limiter) = limiter.clone() {
        let stop = shutdown.clone();
        shutdown.spawn("gateway.limit", async move {
            let mut ticks = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    _ = ticks.tick() => limiter.retain_recent(),
                }
            }
        });
    }
    let limit = Limit { limiter, trust_forwarded_for: settings.trust_forwarded_for };
    router.layer(from_fn_with_state(limit, admit))
}

async fn admit(State(limit): State<Limit>, mut request: Request, next: Next) -> Response {
    let forwarded = limit.trust_forwarded_for.then(|| forwarded_for(request.headers())).flatten();
    let Some(address) = forwarded.or_else(|| peer(request.extensions())) else {
        return next.run(request).await;
    };
    if let Some(Err(until)) = limit.limiter.as_ref().map(|limiter| limiter.check_key(&address)) {
        let wait = until.wait_time_from(DefaultClock::default().now());
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
mod tests {
    use super::*;

    #[test]
    fn only_the_entry_of_our_own_proxy_is_believed() {
        let header = |value: &str| ("x-forwarded-for".parse().unwrap(), value.parse().unwrap());
        let headers = HeaderMap::from_iter([header("10.0.0.1, 192.0.2.7")]);

        assert_eq!(forwarded_for(&headers), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(forwarded_for(&HeaderMap::from_iter([header("unknown")])), None);
    }
}
