//! Shows how events get on.

use std::process::ExitCode;

use time::OffsetDateTime;
use trellis_chassis::{Clock as _, SystemClock};
use trellis_events::bus::Contents;
use trellis_events::outbox::{Backlog, Deposit};

use crate::cli::Teller;
use crate::commands::say;
use crate::config::Config;
use crate::statistics::{Column, Table, grouped};

/// What is known of the stream.
enum Broker {
    /// `TRELLIS_NATS` is not set.
    None,
    Unknown(String),
    Empty,
    Stream(Contents),
}

pub(super) async fn run(services: &[Teller], config: &Config) -> anyhow::Result<ExitCode> {
    let broker = look(config).await;
    let mut waiting = Table::new(&[
        Column::Text("service"),
        Column::Number("waiting"),
        Column::Number("oldest"),
        Column::Text("published last"),
    ]);
    let mut kept = Table::new(&[
        Column::Text("service"),
        Column::Text("stream"),
        Column::Number("events"),
        Column::Number("highest place"),
        Column::Text("in the broker"),
    ]);
    let mut lacking = false;
    for service in services {
        for (name, outbox) in service.outboxes(config, true).await? {
            let (backlog, deposits) = (outbox.backlog().await?, outbox.deposits(None).await?);
            waiting.row(what_waits(name, backlog, &deposits));
            for deposit in &deposits {
                let (verdict, lacks) = broker.verdict(deposit);
                lacking |= lacks;
                kept.row([
                    name.to_owned(),
                    deposit.stream.to_string(),
                    grouped(deposit.count),
                    grouped(deposit.highest),
                    verdict.to_owned(),
                ]);
            }
        }
    }
    say(&waiting.to_string());
    say(&format!("\n{}", broker.describe()));
    if !kept.is_empty() {
        say(&format!("\n{kept}"));
    }
    if lacking {
        say(
            "\nA shop that runs sends again what the broker lost within a minute; if it does not, \
             use `trellis events rebuild`.",
        );
    }
    Ok(if lacking { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn look(config: &Config) -> Broker {
    let Some(broker) = super::broker(config) else { return Broker::None };
    match broker.look().await {
        Err(error) => Broker::Unknown(error),
        Ok(None) => Broker::Empty,
        Ok(Some(contents)) => Broker::Stream(contents),
    }
}

fn what_waits(name: &str, backlog: Backlog, deposits: &[Deposit]) -> [String; 4] {
    let oldest = backlog.oldest.map(|oldest| seconds_since(oldest, SystemClock.now()));
    let last = deposits.iter().map(|deposit| deposit.last).max();
    [
        name.to_owned(),
        grouped(backlog.count),
        oldest.unwrap_or_else(|| "-".to_owned()),
        last.map_or_else(|| "-".to_owned(), |last| seconds_since(last, SystemClock.now()) + " ago"),
    ]
}

fn seconds_since(then: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (now - then).whole_seconds().max(0);
    format!("{} s", grouped(seconds.unsigned_abs()))
}

impl Broker {
    fn describe(&self) -> String {
        match self {
            Self::None => "TRELLIS_NATS is not set: services call one another".to_owned(),
            Self::Unknown(error) => format!("the broker cannot be asked: {error}"),
            Self::Empty => "the broker has no stream".to_owned(),
            Self::Stream(Contents { stream, count, first, last }) => format!(
                "the broker's stream is {stream}: {} events, places {} to {}",
                grouped(*count),
                grouped(*first),
                grouped(*last)
            ),
        }
    }

    /// Whether it has what the outbox gave it, and whether it surely has not.
    fn verdict(&self, deposit: &Deposit) -> (&'static str, bool) {
        match self {
            Self::None | Self::Unknown(_) => ("not known", false),
            Self::Empty => ("lost", true),
            Self::Stream(contents) if contents.stream != deposit.stream => ("another stream", true),
            Self::Stream(contents) if contents.last < deposit.highest => ("lost its end", true),
            Self::Stream(contents) if contents.count == 0 => ("purged", true),
            Self::Stream(_) => ("there", false),
        }
    }
}
