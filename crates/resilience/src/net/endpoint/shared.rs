//! What the clones of an endpoint and its keeper share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::watch;
use tokio::task::coop;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::failure::{Fate, Unavailable};
use super::keeper::Keeper;
use super::phase::{Pause, Phase, Status};
use crate::core::environment::Environment;
use crate::grpc::body::RequestBody;
use crate::net::connect::Connect;
use crate::net::{Address, SendError, task};

/// What hyper says of a request.
pub(super) type Answer = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

pub(super) struct Shared {
    pub(super) address: Address,
    /// The address as text, as events and logs name it.
    pub(super) name: Arc<str>,
    pub(super) target: Arc<str>,
    pub(super) authority: Authority,
    pub(super) settings: Settings,
    pub(super) connector: Arc<dyn Connect>,
    pub(super) environment: Environment,
    pub(super) current: ArcSwapOption<Live>,
    pub(super) status: Status,
    /// The last generation of which a call was answered.
    pub(super) proven: AtomicU64,
    pub(super) has_keeper: AtomicBool,
    pub(super) end: CancellationToken,
}

/// The connection that takes new calls.
pub(super) struct Live {
    pub(super) sender: SendRequest<RequestBody>,
    /// Connections of an endpoint are counted from one.
    pub(super) generation: u64,
    /// Whether it took a call since the keeper last looked.
    pub(super) used: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        address: Address,
        settings: Settings,
        connector: Arc<dyn Connect>,
        authority: Authority,
        environment: &Environment,
        target: Arc<str>,
    ) -> Self {
        Self {
            name: address.socket.to_string().into(),
            address,
            target,
            authority,
            settings,
            connector,
            environment: environment.clone(),
            current: ArcSwapOption::empty(),
            status: Status::new(),
            proven: AtomicU64::new(0),
            has_keeper: AtomicBool::new(false),
            end: CancellationToken::new(),
        }
    }

    /// Gives `uri` the origin that HTTP/2 asks for. The parts are shared, so nothing
    /// is copied.
    pub(super) fn direct(&self, uri: &mut Uri) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
        *uri = Uri::from_parts(parts).expect("a scheme, an authority and a path make a URI");
    }

    /// Hands `request` to the connection, or back if there is none.
    pub(super) fn dispatch(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(u64, impl Future<Output = Answer> + use<>), Request<RequestBody>> {
        let current = self.current.load();
        let Some(live) = current.as_deref().filter(|live| live.is_open()) else {
            return Err(request);
        };
        // Written only when it changes, so that callers share the line for reading.
        if !live.used.load(Ordering::Relaxed) {
            live.used.store(true, Ordering::Relaxed);
        }
        // Not kept while the call is out: a connection ends when nobody can send on it.
        Ok((live.generation, live.sender.clone().try_send_request(request)))
    }

    /// Sends `request` when there is a connection, and again if that gives it back
    /// unwritten: as often as connections end under it, since each takes its time to
    /// come (gRFC A6, "transparent retries").
    pub(super) async fn deliver(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, (Fate, SendError)> {
        let whole = matches!(request.body(), RequestBody::Whole(Some(_)));
        loop {
            let (generation, response) = match self.dispatch(request) {
                Ok(sent) => sent,
                Err(unsent) => {
                    request = unsent;
                    let connected = self.connected().await;
                    connected.map_err(|error| (Fate::Refused, error.into()))?;
                    continue;
                }
            };
            let mut error = match response.await {
                Ok(response) => {
                    self.prove(generation);
                    return Ok(response);
                }
                Err(error) => error,
            };
            let Some(unwritten) = error.take_message() else {
                let error = error.into_error();
                let fate = Fate::of(&error, whole);
                return Err((fate, fate.explain(error)));
            };
            request = unwritten;
        }
    }

    /// Notes that a call of this connection was answered.
    pub(super) fn prove(&self, generation: u64) {
        if self.proven.load(Ordering::Relaxed) < generation {
            self.proven.fetch_max(generation, Ordering::Relaxed);
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.current.load().as_ref().is_some_and(|live| live.is_open())
    }

    /// Ends when there is a connection; fails in backoff.
    pub(super) async fn connected(self: &Arc<Self>) -> Result<(), Unavailable> {
        // Who calls again and again in backoff must let the end of it happen.
        coop::consume_budget().await;
        let mut phases = self.status.subscribe();
        loop {
            // The phase is read first: a connection that comes after that changes it.
            let phase = phases.borrow_and_update().clone();
            if self.is_live() {
                return Ok(());
            }
            if let Phase::Backoff(pause) = phase {
                return Err(self.unavailable(&pause));
            }
            self.wake();
            changed(&mut phases).await;
        }
    }

    /// Sees to it that someone connects, if nobody does.
    pub(super) fn wake(self: &Arc<Self>) {
        if self.status.wake() && !self.has_keeper.swap(true, Ordering::Relaxed) {
            let keeper = Keeper::new(Arc::clone(self));
            task::spawn(self.end.clone().run_until_cancelled_owned(keeper.run()));
        }
    }

    pub(super) fn unavailable(&self, pause: &Pause) -> Unavailable {
        Unavailable {
            endpoint: Arc::clone(&self.name),
            left: pause.until.saturating_duration_since(Instant::now()),
            cause: Arc::clone(&pause.cause),
        }
    }
}

impl Live {
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("target", &self.target)
            .field("state", &self.status.state())
            .finish_non_exhaustive()
    }
}

pub(super) async fn changed(phases: &mut watch::Receiver<Phase>) {
    phases.changed().await.expect("whoever waits keeps the sender alive");
}
