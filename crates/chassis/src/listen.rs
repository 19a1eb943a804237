//! Listeners: gRPC, HTTP/1.1 and HTTP/2 on one port, with limits that are set here.
//!
//! `tonic::transport::Server` is not used: it turns off two of HTTP/2's guards (the
//! number of streams, and of streams reset for errors), leaves Nagle's algorithm on,
//! and speaks no HTTP/1.1 to handlers beside it.

mod callers;
mod connection;
mod opening;

use std::fmt::Display;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use crate::listen::callers::Callers;
use crate::server::{Front, Server};
use crate::shutdown::Shutdown;

/// Connections at once on one listener; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 10_000;

/// What one caller may have at once, by where the caller comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight on one connection of HTTP/2.
    pub streams: u32,
    /// Connections from one address; zero for as many as it likes. Those of this
    /// machine are not counted.
    pub connections_per_address: usize,
}

impl Limits {
    /// For customers, who are many and not known.
    pub const EDGE: Self = Self { streams: 64, connections_per_address: 256 };

    /// For the other services of the fleet, which share few connections.
    pub const INTERNAL: Self = Self { streams: 128, connections_per_address: 0 };
}

/// How long to wait when the process has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; `setting` is the name of what sets it, for the message.
pub async fn bind(address: impl Display, setting: &str) -> anyhow::Result<TcpListener> {
    let address = address.to_string();
    TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}: set another address with {setting}"))
}

/// Answers gRPC on `listener` until the stop is requested, and says by
/// `grpc.health.v1.Health` whether it serves.
pub fn grpc(
    name: &'static str,
    routes: Routes,
    listener: TcpListener,
    front: Front,
    shutdown: &Shutdown,
) {
    let answering = routes.add_service(health(shutdown)).into_axum_router();
    http(name, answering, listener, Limits::INTERNAL, front, shutdown);
}

/// The largest question about health, in bytes: it is the name of a service.
const MAX_HEALTH_REQUEST: usize = 4 * 1024;

/// `grpc.health.v1.Health`, which says so when this process leaves.
pub fn health(shutdown: &Shutdown) -> HealthServer<impl Health> {
    let (reporter, server) = health_reporter();
    shutdown.spawn("health", report(reporter, shutdown.clone()));
    server.max_decoding_message_size(MAX_HEALTH_REQUEST)
}

/// Answers gRPC, HTTP/1.1 and HTTP/2 without TLS on `listener` until the stop is
/// requested, then finishes what is in flight.
///
/// Handlers find the caller's address as [`axum::extract::ConnectInfo`], and in gRPC
/// by `Request::remote_addr`. Calls of gRPC are limited in time; handlers of other
/// requests limit themselves.
pub fn http(
    name: &'static str,
    router: Router,
    listener: TcpListener,
    limits: Limits,
    front: Front,
    shutdown: &Shutdown,
) {
    let stop = shutdown.clone();
    shutdown.spawn(name, async move {
        let server = Server::new(router, &front);
        let callers = Callers::new(limits.connections_per_address);
        // Dropped with this task, the set takes its connections along.
        let mut connections = JoinSet::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut requested = pin!(stop.requested());

        loop {
            tokio::select! {
                biased;
                () = requested.as_mut() => break,
                Some(_) = connections.join_next() => {}
                (stream, permit) = accept(name, &listener, &permits) => {
                    let Some(seat) = callers.admit(&stream) else { continue };
                    let (server, stop) = (server.clone(), stop.requested());
                    connections.spawn(async move {
                        connection::serve(stream, server, limits, stop).await;
                        drop((seat, permit));
                    });
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        Ok(())
    });
}

/// The next connection. It can be dropped at any await without losing one.
async fn accept(
    name: &str,
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                // Out of files or memory: trying again at once would only burn.
                tracing::error!(
                    listener = name,
                    error = &error as &dyn std::error::Error,
                    "cannot accept"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted is broken.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn report(mut reporter: HealthReporter, shutdown: Shutdown) -> anyhow::Result<()> {
    shutdown.leaving().await;
    reporter.set_service_status("", ServingStatus::NotServing).await;
    shutdown.requested().await;
    // Ends the streams of those who watch, which would hold their connections open.
    reporter.clear_service_status("").await;
    Ok(())
}
