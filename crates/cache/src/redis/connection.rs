//! The connection that all commands of a process share, made anew when it is lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ScriptInvocation,
};
use tokio::time::timeout;

pub(super) struct Connection {
    client: Client,
    live: Mutex<Option<Live>>,
    /// Held by whoever connects; the others find a connection made.
    dialing: tokio::sync::Mutex<u64>,
}

/// What Redis is asked for.
#[derive(Clone, Copy)]
pub(super) enum Request<'a> {
    Command(&'a Cmd),
    Script(&'a ScriptInvocation<'a>),
}

#[derive(Clone)]
struct Live {
    /// Tells it from those before and after it.
    number: u64,
    connection: MultiplexedConnection,
}

impl Connection {
    /// Connects nobody yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, live: Mutex::default(), dialing: tokio::sync::Mutex::new(0) }
    }

    /// Does something within `limit`, connecting included.
    ///
    /// A connection over which an answer is overdue is given up: its peer may be gone
    /// without having said so, and then nothing would ever come over it.
    pub(super) async fn perform<T: FromRedisValue>(
        &self,
        limit: Duration,
        request: Request<'_>,
    ) -> RedisResult<T> {
        let mut number = None;
        let performed = timeout(limit, async {
            let Live { number: this, mut connection } = self.live().await?;
            number = Some(this);
            match request {
                Request::Command(command) => command.query_async(&mut connection).await,
                Request::Script(script) => script.invoke_async(&mut connection).await,
            }
        });
        let result = performed.await.unwrap_or_else(|_| {
            Err(RedisError::from((ErrorKind::Io, "the answer of Redis is overdue")))
        });
        if let (Some(number), Err(error)) = (number, &result)
            && error.is_io_error()
        {
            self.give_up(number);
        }
        result
    }

    async fn live(&self) -> RedisResult<Live> {
        if let Some(live) = self.known() {
            return Ok(live);
        }
        let mut number = self.dialing.lock().await;
        if let Some(live) = self.known() {
            return Ok(live);
        }
        *number += 1;
        // What it takes is bounded by who waits.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let live = Live { number: *number, connection };
        *self.slot() = Some(live.clone());
        Ok(live)
    }

    fn known(&self) -> Option<Live> {
        self.slot().clone()
    }

    fn give_up(&self, number: u64) {
        self.slot().take_if(|live| live.number == number);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
