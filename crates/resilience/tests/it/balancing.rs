//! A fleet of real servers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http::Request;
use http::uri::Authority;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use trellis_resilience::Environment;
use trellis_resilience::clock::Clock;
use trellis_resilience::grpc::body::RequestBody;
use trellis_resilience::net::balance::{NoEndpoints, Tried};
use trellis_resilience::net::connect::{Connect, Connection, TcpConnect};
use trellis_resilience::net::fleet::{BuildError, Builder, Fleet, Picked, Settings};
use trellis_resilience::net::resolve::{Resolve, ResolveError, Resolved};
use trellis_resilience::net::{Address, SendError};
use trellis_resilience::outcome::{FailureKind, RetrySafety, Verdict};

use crate::backend::{Backend, framed, refusal, reply, whole};

const OUTAGE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::Never);

/// Answers after a time.
async fn healthy(latency: u64) -> Backend {
    Backend::start(move |_| async move {
        sleep(Duration::from_millis(latency)).await;
        reply(b"reserved")
    })
    .await
}

/// Fails after a time.
async fn failing(latency: u64) -> Backend {
    Backend::start(move |_| async move {
        sleep(Duration::from_millis(latency)).await;
        refusal(Code::Unavailable, "no")
    })
    .await
}

/// A fleet, and the clock that it goes by.
struct Client {
    fleet: Fleet,
    clock: Arc<dyn Clock>,
}

impl Client {
    fn new(build: impl FnOnce(Builder) -> Builder) -> Self {
        let environment = Environment::tokio();
        let clock = Arc::clone(&environment.clock);
        let builder = Fleet::builder("inventory").environment(environment);
        let fleet = build(builder).build().expect("it has addresses");
        Self { fleet, clock }
    }

    fn of(backends: &[Backend]) -> Self {
        Self::new(|builder| builder.addresses(backends.iter().map(Backend::address)))
    }

    fn pick(&self) -> Result<Picked, NoEndpoints> {
        self.fleet.pick(&Tried::new(), self.clock.now())
    }

    /// Makes one call after the other, from many sides.
    async fn load(&self, callers: usize, duration: Duration) {
        let end = Instant::now() + duration;
        let call = async || {
            while Instant::now() < end {
                let picked = self.pick().expect("there are endpoints");
                let verdict = send(&picked).await.expect("it is answered");
                picked.settle(&verdict, self.clock.now());
            }
        };
        join_all((0..callers).map(|_| call())).await;
    }
}

async fn send(picked: &Picked) -> Result<Verdict, SendError> {
    let request = Request::post("/trellis.test.v1.Test/Call");
    let body = RequestBody::whole(framed(b"six mugs"));
    let request = request.body(body).expect("it is a request");
    let response = picked.endpoint().send(request).await?;
    let failed = response.headers().contains_key("grpc-status");
    whole(response.into_body()).await.expect("it is whole");
    Ok(if failed { OUTAGE } else { Verdict::SUCCESS })
}

/// The part of the calls that went to the first one, by what was counted before.
#[expect(clippy::cast_precision_loss, reason = "a number of calls")]
fn share_of_first(backends: &[Backend], before: &[usize]) -> f64 {
    let counts: Vec<_> =
        backends.iter().zip(before).map(|(backend, before)| backend.requests() - before).collect();
    counts[0] as f64 / counts.iter().sum::<usize>() as f64
}

/// Behaviour 42.
#[tokio::test]
async fn a_server_that_fails_fast_gets_at_most_a_fiftieth() {
    let backends = [failing(1).await, healthy(20).await, healthy(20).await, healthy(20).await];
    let client = Client::of(&backends);
    client.load(32, Duration::from_secs(1)).await;
    let before: Vec<_> = backends.iter().map(|backend| backend.requests()).collect();
    client.load(32, Duration::from_secs(2)).await;
    let share = share_of_first(&backends, &before);
    assert!(share <= 0.02, "the failing one got {share}");
}

/// The exact figures are those of a simulation, beside the balancer. Here the time of a
/// busy machine comes on top of both, so the slow one is slower.
#[tokio::test]
async fn a_slow_server_gets_at_most_a_tenth() {
    let backends = [healthy(500).await, healthy(1).await];
    let client = Client::of(&backends);
    client.load(32, Duration::from_secs(2)).await;
    let share = share_of_first(&backends, &[0, 0]);
    assert!(share <= 0.1, "the slow one got {share}");
}

/// A resolver that says what it is told to.
#[derive(Debug)]
struct Told(watch::Receiver<Vec<SocketAddr>>);

impl Resolve for Told {
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
        let addresses = self.0.borrow().iter().copied().map(Address::from).collect();
        let refresh = Some(Duration::from_millis(5));
        std::future::ready(Ok(Resolved { addresses, refresh, incomplete: None })).boxed()
    }
}

/// Behaviour 45.
#[tokio::test]
async fn a_fleet_follows_its_resolver_without_traffic_and_lets_calls_end() {
    let (arrival, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&arrival), Arc::clone(&release));
    let old = Backend::start(move |_| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            reply(b"reserved")
        }
    })
    .await;
    let new = healthy(0).await;
    let (say, told) = watch::channel(vec![old.address()]);
    let client = Client::new(|builder| builder.resolver(Arc::new(Told(told))));
    assert!(client.pick().is_err(), "nobody has answered yet");
    client.fleet.changed().await;

    let picked = client.pick().unwrap();
    let change = async {
        arrival.notified().await;
        say.send_replace(vec![new.address()]);
        client.fleet.changed().await;
        assert_eq!(client.fleet.len(), 1);
        assert_eq!(client.pick().unwrap().address().socket, new.address());
        release.notify_one();
    };
    let (verdict, ()) = tokio::join!(send(&picked), change);

    assert_eq!(picked.address().socket, old.address());
    picked.settle(&verdict.unwrap(), client.clock.now());
    let stopped = timeout(Duration::from_secs(5), old.stop()).await;
    stopped.expect("its connection is closed with the last call");
}

/// Refuses until it is opened.
#[derive(Debug, Default)]
struct Door(AtomicBool);

impl Connect for Door {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Connection>> {
        if self.0.load(Ordering::Relaxed) {
            TcpConnect.connect(address)
        } else {
            std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())).boxed()
        }
    }
}

#[tokio::test]
async fn a_fleet_that_cannot_be_reached_can_be_waited_for() {
    let (backends, door) = ([healthy(0).await, healthy(0).await], Arc::new(Door::default()));
    let connect = Arc::clone(&door);
    let client = Client::new(|builder| {
        builder.addresses(backends.iter().map(Backend::address)).connect(connect)
    });
    assert!(client.fleet.is_available(), "nothing speaks against it yet");
    let mut tried = Tried::new();
    for _ in 0..2 {
        let picked = client.fleet.pick(&tried, client.clock.now()).unwrap();
        assert_eq!(send(&picked).await.unwrap_err().kind, FailureKind::Unsent);
        tried.insert(picked.id());
    }
    assert!(!client.fleet.is_available());
    assert!(client.pick().is_ok(), "they are known, and perhaps they come back");

    let open = async {
        sleep(Duration::from_millis(100)).await;
        door.0.store(true, Ordering::Relaxed);
    };
    let both = async { tokio::join!(client.fleet.available(), open) };
    timeout(Duration::from_secs(5), both).await.expect("the first one that connects is enough");
    let picked = client.pick().unwrap();
    assert!(picked.endpoint().is_available());
    assert_eq!(send(&picked).await.unwrap(), Verdict::SUCCESS);
}

#[tokio::test]
async fn a_second_attempt_knows_whether_there_is_another() {
    let backends = [healthy(0).await, healthy(0).await];
    let client = Client::of(&backends);
    let mut tried = Tried::new();
    for others in [true, true, false] {
        assert_eq!(client.fleet.has_other(&tried), others);
        tried.insert(client.fleet.pick(&tried, client.clock.now()).unwrap().id());
    }
}

#[tokio::test]
async fn what_is_needed_for_a_fleet_is_asked_for() {
    let error = Fleet::builder("inventory").build().unwrap_err();
    assert!(matches!(error, BuildError::NoAddresses(_)));
    assert_eq!(error.to_string(), "it is not said where the instances of inventory are");

    let nowhere = || Fleet::builder("in ventory").addresses(Vec::<Address>::new());
    assert!(matches!(nowhere().build().unwrap_err(), BuildError::Authority(..)));
    let named = nowhere().authority(Authority::from_static("inventory:50051")).build().unwrap();
    assert!(named.is_empty());

    let mut settings = Settings::default();
    settings.balance.subset = 0;
    assert!(matches!(
        nowhere().settings(settings).authority(Authority::from_static("inventory")).build(),
        Err(BuildError::Settings(_))
    ));
}
