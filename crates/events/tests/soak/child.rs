//! The processes that are killed: relays and consumers.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child as Process, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tonic::service::Routes;
use trellis_chassis::{Clock as _, Shutdown, SystemClock, transport};
use trellis_events::bus::{JetStream, Options, Subscriber};
use trellis_events::consumer::{self, Failure, Handler};
use trellis_events::dead_letter::PostgresDeadLetters;
use trellis_events::outbox::PostgresOutbox;
use trellis_events::{Event, relay};
use trellis_storage::Postgres;
use trellis_telemetry::Metrics;

use crate::told::{self, CONSUMER, KIND};

/// Events of a process that was killed come again soon.
const ACK_WAIT: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(20);

/// One event in so many is dropped by a consumer that drops some.
pub(crate) const DROPPED: u64 = 100;

/// What is wrong with a consumer, so that the checker has something to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    /// It does not know what it has applied.
    NoInbox,
    /// It says that it has applied one event in [`DROPPED`], and has not.
    Deaf,
}

/// A running child. Dropping it ends it.
pub(crate) struct Child {
    arguments: Vec<String>,
    process: Process,
}

impl Child {
    pub(crate) fn relay(publisher: &str, nats: &str) -> Self {
        Self::spawn(&["relay", publisher, nats])
    }

    pub(crate) fn consumer(reader: &str, nats: &str, mutation: Mutation) -> Self {
        Self::spawn(&["consumer", reader, nats, mutation.word()])
    }

    fn spawn(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let process = start(&arguments);
        Self { arguments, process }
    }

    /// Kills it, and starts it anew; says whether it was alive, and died of that.
    pub(crate) fn kill_and_restart(&mut self) -> bool {
        const SIGKILL: i32 = 9;
        let was_alive = matches!(self.process.try_wait(), Ok(None));
        self.process.kill().expect("a child can be killed");
        let status = self.process.wait().expect("a child ends");
        self.process = start(&self.arguments);
        was_alive && status.signal() == Some(SIGKILL)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Its standard input ends with the parent, and so does the child.
fn start(arguments: &[String]) -> Process {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg("child").args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("a child")
}

/// The life of a child.
pub(crate) async fn run(arguments: &[&str]) -> ExitCode {
    let shutdown = Shutdown::default();
    match *arguments {
        ["relay", publisher, nats] => relay(publisher, nats, &shutdown).await,
        ["consumer", reader, nats, mutation] => {
            consume(reader, nats, Mutation::of(mutation), &shutdown).await;
        }
        _ => return ExitCode::FAILURE,
    }
    let _ = tokio::io::stdin().read_u8().await;
    shutdown.request();
    let finished = shutdown.finish(GRACE).await;
    if finished.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn relay(publisher: &str, nats: &str, shutdown: &Shutdown) {
    let metrics = Metrics::default();
    let outbox = Arc::new(PostgresOutbox::new(told::open_publisher(publisher).await));
    let bus = Arc::new(JetStream::new(options(nats), &metrics).publisher("order"));
    let run = relay::run("order", outbox, bus, Arc::new(SystemClock), metrics, shutdown.clone());
    shutdown.spawn("soak.relay", run);
}

async fn consume(reader: &str, nats: &str, mutation: Mutation, shutdown: &Shutdown) {
    let (database, metrics) = (told::open_reader(reader).await, Metrics::default());
    let letters = Arc::new(PostgresDeadLetters::new(database.clone()));
    let (reader, clock) = (Arc::new(Reader { database, mutation }), Arc::new(SystemClock));
    let server = consumer::server(CONSUMER, &[KIND], reader, letters, clock, &metrics);
    let transport = transport::local(Routes::new(server));
    let subscriber = Subscriber { consumer: CONSUMER, kinds: &[KIND], transport };
    let jetstream = JetStream::new(options(nats), &metrics);
    shutdown.spawn("soak.consumer", jetstream.consume(subscriber, shutdown.clone()));
}

fn options(nats: &str) -> Options {
    Options { ack_wait: ACK_WAIT, ..Options::new(nats.parse().expect("it is a URL")) }
}

struct Reader {
    database: Postgres,
    mutation: Mutation,
}

#[async_trait::async_trait]
impl Handler for Reader {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        if self.mutation == Mutation::Deaf
            && told::number(event).unsigned_abs().is_multiple_of(DROPPED)
        {
            return Ok(());
        }
        let with_inbox = self.mutation != Mutation::NoInbox;
        let now = SystemClock.now();
        self.database.write(|tx| told::apply(tx, event, with_inbox, now)).await?;
        Ok(())
    }
}

impl Mutation {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NoInbox => "no-inbox",
            Self::Deaf => "deaf",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "no-inbox" => Self::NoInbox,
            "deaf" => Self::Deaf,
            _ => Self::None,
        }
    }
}
