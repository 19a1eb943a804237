//! Peers at the other end of a pipe, so that time can be moved.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::net::connect::{Connect, Connection};

/// What one peer does with one connection.
#[derive(Clone)]
pub(super) enum Peer {
    /// It can be connected to for as long as one likes, without success.
    Hangs,
    Refuses,
    /// It accepts and says nothing, or closes if the script ends.
    Speaks(Vec<Step>),
    /// A real server. It answers after a while, and lives as long as is said.
    Serves {
        after: Duration,
        lives: Duration,
    },
}

#[derive(Clone)]
pub(super) enum Step {
    Wait(Duration),
    Write(Vec<u8>),
    /// Stays open from here on, and neither reads nor writes.
    Hang,
}

/// Connects to the first peer first, and to the last one ever after.
pub(super) struct Peers {
    script: Vec<Peer>,
    began: Instant,
    attempts: Mutex<Vec<Duration>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Peers {
    pub(super) fn new(peers: impl Into<Vec<Peer>>) -> Arc<Self> {
        Arc::new(Self {
            script: peers.into(),
            began: Instant::now(),
            attempts: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// When connections were asked for.
    pub(super) fn attempts(&self) -> Vec<Duration> {
        self.attempts.lock().unwrap().clone()
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peers")
    }
}

impl Connect for Peers {
    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Connection>> {
        let mut attempts = self.attempts.lock().unwrap();
        let peer = self.script[attempts.len().min(self.script.len() - 1)].clone();
        attempts.push(self.began.elapsed());
        let (near, far) = tokio::io::duplex(1 << 16);
        let near = Connection::new(near);
        match peer {
            Peer::Hangs => return std::future::pending().boxed(),
            Peer::Refuses => {
                let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
                return std::future::ready(Err(refused)).boxed();
            }
            Peer::Speaks(steps) => self.tasks.lock().unwrap().spawn(speak(far, steps)),
            Peer::Serves { after, lives } => {
                self.tasks.lock().unwrap().spawn(serve(far, after, lives))
            }
        };
        std::future::ready(Ok(near)).boxed()
    }
}

async fn speak(mut pipe: DuplexStream, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Wait(time) => sleep(time).await,
            Step::Write(bytes) => {
                // The other side may be gone.
                let _ = pipe.write_all(&bytes).await;
            }
            Step::Hang => std::future::pending().await,
        }
    }
}

async fn serve(pipe: DuplexStream, after: Duration, lives: Duration) {
    let answer = service_fn(move |_: Request<Incoming>| async move {
        sleep(after).await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let server =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(pipe), answer);
    let _ = tokio::time::timeout(lives, server).await;
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Step {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    Step::Write(bytes)
}

pub(super) fn wait(millis: u64) -> Step {
    Step::Wait(Duration::from_millis(millis))
}

pub(super) fn settings() -> Step {
    frame(4, 0, 0, &[])
}

/// SETTINGS that allow that many streams at once.
pub(super) fn settings_with_streams(streams: u8) -> Step {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, streams])
}

pub(super) fn reset(stream: u32, reason: h2::Reason) -> Step {
    frame(3, 0, stream, &u32::from(reason).to_be_bytes())
}

pub(super) fn goaway(last: u32, reason: h2::Reason) -> Step {
    frame(7, 0, 0, &[last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat())
}

/// The whole response: `:status: 200`.
pub(super) fn answer(stream: u32) -> Step {
    frame(1, 0b101, stream, &[0x88])
}

/// `:status: 200`, with a body to follow.
pub(super) fn head(stream: u32) -> Step {
    frame(1, 0b100, stream, &[0x88])
}

/// The rest of the body.
pub(super) fn data(stream: u32, bytes: &[u8]) -> Step {
    frame(0, 0b001, stream, bytes)
}
