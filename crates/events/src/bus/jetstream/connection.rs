//! The connection to the server, and what is known of the stream behind it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use async_nats::{ConnectOptions, Event};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{sleep, timeout};

use super::url::Login;
use super::{Contents, Options, message, stream};
use crate::Backoff;
use crate::bus::{Archive, Stream};
use crate::consumer::chain;

/// How long the server may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The most events that are published and not acknowledged, of all publishers.
pub(super) const IN_FLIGHT: usize = 256;

/// The waits before a new connection is tried.
const RECONNECT: Backoff =
    Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(2) };
/// How often a silent connection is asked whether it is there.
const PING: Duration = Duration::from_secs(5);
/// How long somebody who only wants to know waits for a connection, and how often it is
/// looked for.
const LOOKS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// The most commands that wait to be sent, and messages that wait to be read.
const QUEUE: usize = 1_024;

pub(super) struct Connection {
    options: Options,
    context: OnceCell<Context>,
    session: Mutex<Option<Session>>,
    /// How often something gave reason to look at the stream anew.
    doubts: AtomicU64,
}

/// What holds from one connect to the next.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) epoch: u64,
    pub(super) context: Context,
    /// The stream's name with the time at which it was made: a stream that was lost and
    /// made anew has the same name and begins to count at 1 again.
    pub(super) stream: Arc<str>,
    /// The highest place that was given to an event.
    highest: Arc<AtomicU64>,
}

impl Connection {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            context: OnceCell::new(),
            session: Mutex::new(None),
            doubts: AtomicU64::new(0),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// What holds now; an error says why nothing can be sent.
    pub(super) async fn session(&self) -> Result<Session, String> {
        let context = self.connected().await?;
        let mut session = self.session.lock().await;
        let epoch = self.epoch();
        match &*session {
            Some(known) if known.epoch == epoch => Ok(known.clone()),
            _ => Ok(session.insert(self.look(context, epoch).await?.0).clone()),
        }
    }

    /// Gives reason to look at the stream anew.
    pub(super) fn doubt(&self, session: &Session) {
        if self.epoch() == session.epoch {
            self.doubts.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn look(&self, context: &Context, epoch: u64) -> Result<(Session, Info), String> {
        let info = stream::ensure(context, self.options.replicas).await?;
        let session = Session {
            epoch,
            context: context.clone(),
            stream: life(&info),
            highest: Arc::new(AtomicU64::new(info.state.last_sequence)),
        };
        Ok((session, info))
    }

    /// Looks at the stream for somebody who only wants to know.
    pub(super) async fn contents(&self) -> Result<Option<Contents>, String> {
        let connected = async {
            loop {
                match self.connected().await {
                    Ok(context) => return context,
                    Err(_) => sleep(LOOK).await,
                }
            }
        };
        let context = timeout(LOOKS, connected).await;
        let context = context.map_err(|_| "no server answers".to_owned())?;
        let info = stream::find(context).await?;
        Ok(info.map(|info| Contents {
            stream: life(&info),
            count: info.state.messages,
            first: info.state.first_sequence,
            last: info.state.last_sequence,
        }))
    }

    /// What is sent without a connection waits in the client, and would come late.
    async fn connected(&self) -> Result<&Context, String> {
        let context = self.context.get_or_try_init(|| self.connect()).await?;
        match context.client().connection_state() {
            State::Connected => Ok(context),
            State::Pending | State::Disconnected => Err("not connected".to_owned()),
        }
    }

    /// Does not wait for the connection, which is tried for ever.
    async fn connect(&self) -> Result<Context, String> {
        let url = &self.options.url;
        let options = match url.login() {
            Login::Nobody => ConnectOptions::new(),
            Login::Token(token) => ConnectOptions::with_token(token),
            Login::User(user, password) => ConnectOptions::with_user_and_password(user, password),
        };
        let client = options
            .name("trellis")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                RECONNECT.delay(u32::try_from(attempts).unwrap_or(u32::MAX))
            })
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .ping_interval(PING)
            .client_capacity(QUEUE)
            .subscription_capacity(QUEUE)
            .event_callback(async |event| report(&event))
            .connect(url.servers())
            .await
            .map_err(|error| chain(&error))?;
        let builder = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE);
        Ok(builder.max_ack_inflight(IN_FLIGHT).backpressure_on_inflight(true).build(client))
    }
}

impl Session {
    pub(super) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    pub(super) fn reached(&self, sequence: u64) {
        self.highest.fetch_max(sequence, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl Archive for Connection {
    fn epoch(&self) -> u64 {
        // The client counts a connect before anything goes over it.
        let statistics = self.context.get().map(|context| context.client().statistics());
        let connects = statistics.map_or(0, |known| known.connects.load(Ordering::Relaxed));
        connects + self.doubts.load(Ordering::Relaxed)
    }

    async fn stream(&self) -> Result<Stream, String> {
        let context = self.connected().await?;
        let mut session = self.session.lock().await;
        let epoch = self.epoch();
        let (found, info) = self.look(context, epoch).await?;
        let name = Arc::clone(&found.stream);
        // One of the same epoch may know of higher places than the server did when it
        // was asked.
        match &*session {
            Some(known) if known.epoch == epoch && known.stream == name => {}
            _ => *session = Some(found),
        }
        Ok(Stream { epoch, name, first: info.state.first_sequence })
    }

    async fn holds(&self, sequence: u64, event_id: &str) -> Result<bool, String> {
        let context = self.connected().await?;
        let stream = context.get_stream_no_info(stream::NAME).await;
        let stream = stream.map_err(|error| chain(&error))?;
        match stream.get_raw_message(sequence).await {
            Ok(message) => {
                let id = message.headers.get_last(NATS_MESSAGE_ID);
                Ok(id.is_some_and(|id| message::is_of(id.as_str(), event_id)))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(chain(&error)),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.options.url).finish_non_exhaustive()
    }
}

/// Names a life of a stream.
fn life(info: &Info) -> Arc<str> {
    format!("{}@{}", stream::NAME, info.created.unix_timestamp_nanos()).into()
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost, events wait"),
        other => tracing::warn!(event = %other, "NATS says"),
    }
}
