//! One attempt to get a connection.

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Settings;
use super::failure::ConnectionError;
use super::wire::Wire;
use crate::grpc::body::RequestBody;
use crate::net::connect::Connect;
use crate::net::{Address, task};

/// A connection whose peer speaks HTTP/2.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sender: SendRequest<RequestBody>,
    /// Ends when the connection takes no more calls; those in flight go on. It also
    /// ends when nobody is left who could send.
    pub(super) driver: JoinHandle<hyper::Result<()>>,
}

/// Connects, within the time that the settings allow. Dropping the future leaves
/// nothing behind.
pub(super) async fn connect(
    connector: &dyn Connect,
    address: &Address,
    settings: &Settings,
) -> Result<Link, ConnectionError> {
    let limit = settings.connect_timeout;
    timeout(limit, attempt(connector, address, settings))
        .await
        .unwrap_or(Err(ConnectionError::TimedOut(limit)))
}

async fn attempt(
    connector: &dyn Connect,
    address: &Address,
    settings: &Settings,
) -> Result<Link, ConnectionError> {
    let connection = connector.connect(address.socket).await.map_err(ConnectionError::Connect)?;
    let (connection, greeted) = Wire::new(connection);
    let (sender, driver) = builder(settings)
        .handshake(TokioIo::new(connection))
        .await
        .map_err(|error| ConnectionError::Silent(Some(error)))?;
    if greeted.await.is_err() {
        return Err(ConnectionError::Silent(driver.await.err()));
    }
    Ok(Link { sender, driver: task::spawn(driver) })
}

fn builder(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(settings.max_header_list)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout)
        .keep_alive_while_idle(true);
    builder
}
