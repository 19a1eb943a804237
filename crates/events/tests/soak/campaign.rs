//! One run: events are told and heard while processes are killed.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use futures::FutureExt as _;
use futures::future::join;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trellis_storage::{Error, Postgres, Tx};
use trellis_testkit::{Nats, Postgres as Server};

use crate::child::{Child, Mutation};
use crate::faults::{Faults, Victims};
use crate::say;
use crate::told::{self, CHUNK, CONSUMER, KIND};
use crate::verdict::Verdict;

/// How many events are told ahead of those that took effect: the faults have to meet them.
const AHEAD: u64 = 10_000;
/// Counts what is not published.
const WAITING: &str = "SELECT count(*) FROM outbox WHERE published_time IS NULL";
/// How often a run says how far it is.
const LINE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// A run in which nothing moves for so long is over.
const PATIENCE: Duration = Duration::from_mins(2);

/// The servers of a run; each run has its own databases, and finds an empty broker.
pub(crate) struct Servers {
    postgres: Server,
    nats: Nats,
}

impl Servers {
    /// `None` where there is no Postgres or no NATS.
    pub(crate) async fn start() -> Option<Self> {
        Some(Self { postgres: Server::start().await?, nats: Nats::start().await? })
    }
}

/// What a run is like.
pub(crate) struct Campaign {
    pub(crate) events: u64,
    pub(crate) mutation: Mutation,
    /// How many events take effect from one kill to the next, about, if there are any. So a
    /// slow machine has as many as a fast one. The broker is wiped once in any case.
    pub(crate) gap: Option<u64>,
}

/// Both databases, as the program itself sees them.
#[derive(Clone)]
struct View {
    publisher: Postgres,
    reader: Postgres,
}

impl Campaign {
    pub(crate) async fn run(&self, servers: &Servers) -> Verdict {
        let (publisher, reader) =
            (servers.postgres.database().await, servers.postgres.database().await);
        servers.nats.wipe().await;
        let nats = servers.nats.url();
        let view = View::open(&publisher, &reader).await;
        let relays = (0..2).map(|_| Child::relay(&publisher, &nats)).collect();
        let consumers = (0..2).map(|_| Child::consumer(&reader, &nats, self.mutation)).collect();
        let mut victims = Victims::new(relays, consumers, &servers.nats);

        let began = Instant::now();
        let stop = Cell::new(false);
        // On its own: what kills a process holds up everything in its task.
        let mut teller = JoinSet::new();
        let limit = Arc::new(AtomicU64::new(u64::MAX));
        teller.spawn(tell(view.clone(), self.events, Arc::clone(&limit)));
        let work = async {
            while let Some(told) = teller.join_next().await {
                told.expect("all is told");
            }
            settle(&view, &nats, self.events).await;
            stop.set(true);
        };
        let torment = self.torment(&mut victims, &view, &stop, &limit);
        join(work.boxed_local(), torment.boxed_local()).await;
        // What the last fault left behind comes again.
        let settled = settle(&view, &nats, self.events).await;
        let took = began.elapsed();
        let faults = victims.faults;
        drop(victims);
        view.judge(faults, took, settled).await
    }

    /// Ends between two faults, so that all are alive then. Sets `limit`, so that a fast
    /// machine is not through before it had its faults.
    async fn torment(
        &self,
        victims: &mut Victims<'_>,
        view: &View,
        stop: &Cell<bool>,
        limit: &AtomicU64,
    ) {
        let gap = || self.gap.map_or(u64::MAX, |gap| rand::random_range(gap / 2..=gap + gap / 2));
        let mut next = gap();
        while !stop.get() {
            limit.store(next.saturating_add(self.gap.unwrap_or(u64::MAX)), Ordering::Relaxed);
            let heard = view.heard().await;
            if victims.faults.brokers_wiped == 0 && self.events / 20 <= heard {
                victims.wipe_broker().await;
            } else if next <= heard {
                victims.next().await;
                next = heard.saturating_add(gap());
            } else {
                sleep(LOOK).await;
            }
        }
    }
}

/// Tells all events, not far ahead of what is heard, and none beyond the `limit` of now.
async fn tell(view: View, events: u64, limit: Arc<AtomicU64>) {
    let mut next_line = Instant::now() + LINE;
    loop {
        let (told, heard) = (view.told().await, view.heard().await);
        if events <= told {
            return;
        }
        if next_line <= Instant::now() {
            say(&format!("told {told}, heard {heard}"));
            next_line += LINE;
        }
        let limit = limit.load(Ordering::Relaxed).min(heard + AHEAD);
        if limit <= told {
            sleep(LOOK).await;
            continue;
        }
        // What fails may have happened all the same: it goes on from what is there.
        let end = events.min(limit).min(told + 10 * CHUNK);
        for start in (told..end).step_by(usize::try_from(CHUNK).expect("it is small")) {
            if told::tell(&view.publisher, start..end.min(start + CHUNK)).await.is_err() {
                break;
            }
        }
    }
}

/// Waits until nothing is under way any more; says whether it came to that.
async fn settle(view: &View, nats: &str, events: u64) -> bool {
    let (mut seen, mut since, mut next_line) = ((0, 0), Instant::now(), Instant::now());
    loop {
        let backlog = ask(&view.publisher, WAITING).await;
        let heard = view.heard().await;
        if backlog == 0 && unsettled(nats, events).await == Some(0) {
            return true;
        }
        if seen != (backlog, heard) {
            (seen, since) = ((backlog, heard), Instant::now());
        } else if PATIENCE < since.elapsed() {
            return false;
        }
        if next_line <= Instant::now() {
            say(&format!("told {events}, heard {heard}"));
            next_line += LINE;
        }
        sleep(LINE / 10).await;
    }
}

/// How many events the broker has yet to hand out, or to hear of; `None` while it is away,
/// or has lost some that no relay has missed yet.
async fn unsettled(nats: &str, events: u64) -> Option<u64> {
    let client = async_nats::connect(nats).await.ok()?;
    let stream = jetstream::new(client).get_stream("events").await.ok()?;
    if stream.cached_info().state.messages < events {
        return None;
    }
    let durable = format!("{CONSUMER}-{}", KIND.replace('.', "_"));
    let mut durable: PullConsumer = stream.get_consumer(&durable).await.ok()?;
    let info = durable.info().await.ok()?;
    Some(info.num_pending + info.num_ack_pending as u64)
}

impl View {
    async fn open(publisher: &str, reader: &str) -> Self {
        let publisher = told::open_publisher(publisher).await;
        Self { publisher, reader: told::open_reader(reader).await }
    }

    async fn told(&self) -> u64 {
        let told = "SELECT coalesce(max(number) + 1, 0) FROM told";
        ask(&self.publisher, told).await.unsigned_abs()
    }

    /// About how many events took effect: what was undone is counted too.
    async fn heard(&self) -> u64 {
        let places = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END
                        FROM effects_place_seq";
        ask(&self.reader, places).await.unsigned_abs()
    }

    async fn judge(&self, faults: Faults, took: Duration, settled: bool) -> Verdict {
        let told = ask(&self.publisher, "SELECT count(*) FROM told").await;
        // They are 0, 1, 2 …
        let last = ask(&self.publisher, "SELECT coalesce(max(number), -1) FROM told").await;
        assert_eq!(told, last + 1, "there is a hole in what was told");
        let effects = ask(&self.reader, "SELECT count(*) FROM effects").await;
        let distinct = ask(&self.reader, "SELECT count(DISTINCT number) FROM effects").await;
        let suppressed = ask(&self.reader, "SELECT count(*) FROM suppressed").await;
        let letters = ask(&self.reader, "SELECT count(*) FROM dead_letters").await;
        Verdict {
            told,
            lost: told - distinct,
            twice: effects - distinct,
            suppressed,
            letters,
            faults,
            took,
            settled,
        }
    }
}

/// The number that a query gives, as soon as the database answers.
async fn ask(database: &Postgres, query: &'static str) -> i64 {
    loop {
        if let Ok(answer) = database.look_up(|tx| number(tx, query)).await {
            return answer;
        }
        sleep(LOOK).await;
    }
}

async fn number(mut tx: Tx, query: &'static str) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(query).fetch_one(&mut *tx).await?)
}
