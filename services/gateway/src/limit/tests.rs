//! A limit, seen from outside and from inside.

use axum::body::Body;
use http::StatusCode;
use tower::ServiceExt as _;
use trellis_chassis::transport::Roads;
use trellis_resilience::clock::Manual;

use super::*;

/// A shop that answers everything, behind a limit.
struct Door {
    router: Router,
    clock: Arc<Manual>,
}

impl Door {
    /// Lets two calls a second through, and three at once.
    fn new(trust_forwarded_for: bool) -> Self {
        Self::with(&Settings { rate_limit_per_second: 2, rate_limit_burst: 3, trust_forwarded_for })
    }

    fn with(settings: &Settings) -> Self {
        Self::over(settings, None)
    }

    fn over(settings: &Settings, redis: Option<Redis>) -> Self {
        let clock = Arc::new(Manual::new());
        let shop = Router::new().fallback(|| async { "a page" });
        let router = layer(settings, shop, Arc::clone(&clock) as Arc<dyn Clock>, redis);
        Self { router, clock }
    }

    async fn call(&self, from: &str, headers: &[(&str, &str)]) -> Response {
        let request = headers
            .iter()
            .fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        let mut request = request.body(Body::empty()).unwrap();
        let from = SocketAddr::new(from.parse().unwrap(), 4_321);
        request.extensions_mut().insert(ConnectInfo(from));
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// How many of `calls` are let through at once.
    async fn admitted(&self, calls: usize, from: &str, headers: &[(&str, &str)]) -> usize {
        let mut admitted = 0;
        for _ in 0..calls {
            let status = self.call(from, headers).await.status();
            admitted += usize::from(status == StatusCode::OK);
        }
        admitted
    }
}

#[tokio::test]
async fn an_address_has_its_burst_and_then_its_rate_whatever_others_do() {
    let door = Door::new(false);

    assert_eq!(door.admitted(9, "192.0.2.1", &[]).await, 3);
    assert_eq!(door.admitted(9, "192.0.2.2", &[]).await, 3);
    door.clock.advance(Duration::from_secs(1));
    assert_eq!(door.admitted(9, "192.0.2.1", &[]).await, 2);
    door.clock.advance(Duration::from_mins(1));
    assert_eq!(door.admitted(9, "192.0.2.1", &[]).await, 3);
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_in_the_callers_own_words() {
    let door = Door::new(false);
    door.admitted(3, "192.0.2.1", &[]).await;

    let json = door.call("192.0.2.1", &[]).await;
    let grpc = door.call("192.0.2.1", &[("content-type", "application/grpc")]).await;

    assert_eq!(json.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(json.headers()["retry-after"], "1");
    let status = tonic::Status::from_header_map(grpc.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(error::reason(&status).as_deref(), Some("RATE_LIMITED"));
    assert_eq!(error::retry_after(&status), Some(Duration::from_millis(500)));
}

#[test]
fn many_addresses_take_bounded_memory_and_nothing_from_those_who_are_known() {
    let rate = KeyedGcra::new(2.0, 3, MOST_ADDRESSES);
    let clock = Manual::new();
    let known: IpAddr = "192.0.2.1".parse().unwrap();
    rate.check(&known, clock.now()).unwrap();

    let strangers = (0..2 * u32::try_from(MOST_ADDRESSES).unwrap())
        .filter(|bits| {
            let stranger = IpAddr::from((0x0a00_0000 + bits).to_be_bytes());
            rate.check(&stranger, clock.now()).is_ok()
        })
        .count();

    assert!(rate.known() <= MOST_ADDRESSES, "{} are known", rate.known());
    assert!(strangers < MOST_ADDRESSES + 3, "newcomers share one rate: {strangers} got in");
    rate.check(&known, clock.now()).unwrap();
}

#[tokio::test]
async fn a_network_of_ipv6_and_an_ipv4_address_inside_of_ipv6_are_one_caller() {
    let door = Door::new(false);

    assert_eq!(door.admitted(2, "2001:db8::1", &[]).await, 2);
    assert_eq!(door.admitted(2, "2001:db8::ffff:1", &[]).await, 1);
    assert_eq!(door.admitted(2, "2001:db8:0:1::1", &[]).await, 2);
    assert_eq!(door.admitted(2, "192.0.2.7", &[]).await, 2);
    assert_eq!(door.admitted(2, "::ffff:192.0.2.7", &[]).await, 1);
}

#[tokio::test]
async fn behind_our_own_proxy_the_address_is_the_one_that_it_wrote() {
    let customer = [("x-forwarded-for", "10.0.0.1, 192.0.2.7")];
    let forger = [("x-forwarded-for", "192.0.2.7, 192.0.2.8")];

    let behind_a_proxy = Door::new(true);
    assert_eq!(behind_a_proxy.admitted(9, "10.0.0.9", &customer).await, 3);
    assert_eq!(behind_a_proxy.admitted(9, "10.0.0.9", &forger).await, 3);
    let open = Door::new(false);
    assert_eq!(open.admitted(9, "10.0.0.9", &customer).await, 3);
    assert_eq!(open.admitted(9, "10.0.0.9", &forger).await, 0);
}

#[tokio::test]
async fn without_a_rate_nobody_is_refused_and_without_a_burst_calls_come_singly() {
    let unlimited = Door::with(&Settings::default());
    assert_eq!(unlimited.admitted(1_000, "192.0.2.1", &[]).await, 1_000);

    let singly = Settings { rate_limit_per_second: 2, rate_limit_burst: 0, ..Settings::default() };
    assert_eq!(Door::with(&singly).admitted(9, "192.0.2.1", &[]).await, 1);
}

#[test]
fn only_the_entry_of_our_own_proxy_is_believed() {
    let header = |value: &str| ("x-forwarded-for".parse().unwrap(), value.parse().unwrap());
    let headers = HeaderMap::from_iter([header("10.0.0.1, 192.0.2.7")]);

    assert_eq!(forwarded_for(&headers), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(forwarded_for(&HeaderMap::from_iter([header("unknown")])), None);
}

#[tokio::test]
async fn with_redis_gateways_count_together_and_without_it_each_for_itself() {
    let Some(server) = trellis_testkit::Redis::start().await else { return };
    let connect = || {
        let (url, roads) = (server.url().parse().unwrap(), Roads::new());
        // A machine that is busy with other tests is slow.
        let patience = Duration::from_millis(900);
        Redis::with_patience("redis", url, roads.registry(), patience).unwrap()
    };
    // So slow a rate that time does not matter.
    let settings =
        Settings { rate_limit_per_second: 1, rate_limit_burst: 40, ..Settings::default() };
    let (one, other) =
        (Door::over(&settings, Some(connect())), Door::over(&settings, Some(connect())));
    let begun = tokio::time::Instant::now();
    let together =
        one.admitted(40, "192.0.2.1", &[]).await + other.admitted(40, "192.0.2.1", &[]).await;
    // One more for each second that went by.
    let most = 40 + usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(together <= most, "{together} of 80 calls got in, and {most} may");

    server.kill();
    assert_eq!(one.admitted(50, "192.0.2.2", &[]).await, 40);
    assert_eq!(other.admitted(50, "192.0.2.2", &[]).await, 40);
}
