//! What is told, and where it is kept.

use time::OffsetDateTime;
use trellis_api::event::v1 as pb;
use trellis_api::id::Bucket;
use trellis_chassis::{Clock as _, SystemClock};
use trellis_events::{Event, dead_letter, inbox, outbox};
use trellis_storage::lease::postgres as lease;
use trellis_storage::{Error, Migration, Options, Postgres, Tx, Url};

pub(crate) const KIND: &str = "order.confirmed";
pub(crate) const CONSUMER: &str = "reader";

/// How many events are told in one unit of work.
pub(crate) const CHUNK: u64 = 100;

const PUBLISHER: &[Migration] = &[
    lease::MIGRATION,
    outbox::postgres::MIGRATION,
    outbox::postgres::RECEIPTS,
    // The change that an event tells of.
    Migration { name: "told_0001", sql: "CREATE TABLE told (number bigint PRIMARY KEY)" },
];

const READER: &[Migration] = &[
    inbox::postgres::MIGRATION,
    dead_letter::postgres::MIGRATION,
    Migration {
        name: "effects_0001",
        // No constraint hides an effect that happens twice.
        sql: "CREATE TABLE effects (place bigint GENERATED ALWAYS AS IDENTITY, number bigint NOT NULL);
              CREATE TABLE suppressed (number bigint NOT NULL)",
    },
];

pub(crate) async fn open_publisher(url: &str) -> Postgres {
    open(url, PUBLISHER).await
}

pub(crate) async fn open_reader(url: &str) -> Postgres {
    open(url, READER).await
}

async fn open(url: &str, migrations: &[Migration]) -> Postgres {
    let Ok(Url::Postgres(url)) = url.parse() else { panic!("a server has a URL") };
    Postgres::open(&url, migrations, &Options::default()).await.expect("a database")
}

/// Tells the events of some numbers, each with its change.
pub(crate) async fn tell(database: &Postgres, numbers: std::ops::Range<u64>) -> Result<(), Error> {
    let events: Vec<Event> = numbers.map(event).collect();
    database.write(|tx| append(tx, &events)).await
}

async fn append(mut tx: Tx, events: &[Event]) -> Result<(), Error> {
    let numbers: Vec<i64> = events.iter().map(number).collect();
    let told = sqlx::query("INSERT INTO told SELECT unnest($1::bigint[])").bind(numbers);
    told.execute(&mut *tx).await?;
    for event in events {
        outbox::postgres::append(&mut tx, event).await?;
    }
    Ok(())
}

fn event(number: u64) -> Event {
    let payload = pb::OrderConfirmed { order_id: "x".repeat(100), ..Default::default() };
    let now = SystemClock.now();
    trellis_events::event(now, Bucket::random(), KIND, number.to_string(), &payload)
}

/// Which one it is.
pub(crate) fn number(event: &Event) -> i64 {
    event.subject.parse().expect("it was told here")
}

/// Applies an event in one unit of work with its inbox row, or notes that it came again.
pub(crate) async fn apply(
    mut tx: Tx,
    event: &Event,
    with_inbox: bool,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let is_new =
        !with_inbox || inbox::postgres::admit(&mut tx, CONSUMER, &event.event_id, now).await?;
    let note = if is_new {
        "INSERT INTO effects (number) VALUES ($1)"
    } else {
        "INSERT INTO suppressed (number) VALUES ($1)"
    };
    sqlx::query(note).bind(number(event)).execute(&mut *tx).await?;
    Ok(())
}
