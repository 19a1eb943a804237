//! Endpoints before peers of every kind, at the other end of a pipe.

mod calls;
mod connecting;
mod peers;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::Request;
use http::uri::Authority;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::Instant;
use tonic::body::Body;

use self::peers::Peers;
use super::*;
use crate::core::outcome::FailureKind;
use crate::core::random::Random;
use crate::observe::{Event, Listener};

/// Keeps what it hears.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

fn endpoint(peers: &Arc<Peers>, settings: Settings) -> Endpoint {
    endpoint_in(peers, settings, &Environment::tokio())
}

fn endpoint_in(peers: &Arc<Peers>, settings: Settings, environment: &Environment) -> Endpoint {
    let address = Address::from("10.0.0.1:50051".parse::<std::net::SocketAddr>().unwrap());
    let connector = Arc::clone(peers);
    let authority = Authority::from_static("inventory:50051");
    Endpoint::new(address, settings, connector, authority, environment, "inventory".into())
}

fn seeded(seed: u64) -> Environment {
    Environment { random: Arc::new(Random::seeded(seed)), ..Environment::tokio() }
}

fn whole() -> Request<RequestBody> {
    request(RequestBody::whole(Bytes::from_static(b"\0\0\0\0\0")))
}

/// A call whose body may go on.
fn streamed() -> Request<RequestBody> {
    let frames = stream::once(async { Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0"))) });
    let body =
        Body::new(StreamBody::new(frames.chain(stream::pending::<Result<_, tonic::Status>>())));
    request(RequestBody::streamed(body))
}

fn request(body: RequestBody) -> Request<RequestBody> {
    Request::post("/trellis.inventory.v1.InventoryService/Reserve").body(body).unwrap()
}

fn unavailable(error: &SendError) -> &Unavailable {
    error.source.downcast_ref().expect("there was no connection")
}

/// Lets everything happen that can happen without time.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
