//! A database that can do little, and does not notice that nobody waits any more.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};
use trellis_chassis::transport::{self, Transport};

/// Stands before a process: calls go through one after the other, each takes its time,
/// and what was begun is worked on whoever has left. Ends with the test.
pub(crate) struct Bottleneck {
    pub(crate) address: String,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Queue {
    behind: Transport,
    work: Duration,
    /// How many may wait.
    room: u32,
    free: Arc<Mutex<Instant>>,
    working: Arc<Mutex<JoinSet<()>>>,
}

impl Bottleneck {
    /// In front of what answers at `behind`.
    pub(crate) async fn start(behind: &str, work: Duration, room: u32) -> Self {
        let queue = Queue {
            behind: transport::remote(behind).unwrap(),
            work,
            room,
            free: Arc::new(Mutex::new(Instant::now())),
            working: Arc::default(),
        };
        let service = service_fn(move |request: Request<axum::body::Body>| {
            let queue = queue.clone();
            async move {
                let answer = queue.pass(request).await;
                Ok::<_, Infallible>(answer.unwrap_or_else(Status::into_http))
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        let router = axum::Router::new().fallback_service(service);
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _server: server }
    }
}

impl Queue {
    async fn pass(&self, request: Request<axum::body::Body>) -> Result<Response<Body>, Status> {
        let turn = self.queue_up().ok_or_else(|| Status::unavailable("there is no room"))?;
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| Status::cancelled(error.to_string()))?;
        // That time is over is what it does not notice.
        parts.headers.remove("grpc-timeout");
        let request = Request::from_parts(parts, Body::new(Full::new(body.to_bytes())));

        let (answer, answered) = oneshot::channel();
        let behind = self.behind.clone();
        self.working.lock().unwrap().spawn(async move {
            sleep_until(turn).await;
            // Nobody may be there to hear it.
            let _ = answer.send(behind.oneshot(request).await);
        });
        answered.await.map_err(|_| Status::internal("the work was lost"))?
    }

    /// When the work will be done; `None` if there is no room for it.
    fn queue_up(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut free = self.free.lock().unwrap();
        let begin = (*free).max(now);
        (begin - now < self.work * self.room).then(|| {
            *free = begin + self.work;
            *free
        })
    }
}
