//! No event is lost, and none takes effect twice, whatever is killed.
//!
//! This program starts a Postgres, a NATS, two relays and two consumers, each of them a
//! process, tells events, and kills what comes to hand. In the end it compares what was
//! told with what took effect. As a test it does so with a few events; with `campaign` as
//! its first argument, with as many as the second says. Children are this program again.

mod campaign;
mod child;
mod faults;
mod told;
mod verdict;

use std::process::ExitCode;

use campaign::{Campaign, Servers};
use child::{DROPPED, Mutation};
use verdict::Verdict;

/// How many events the tests tell, and how many of them from one kill to the next.
const SHORT: u64 = 2_000;
const SHORT_GAP: u64 = 200;
/// The same of a campaign, if nobody says.
const LONG: u64 = 1_000_000;
const LONG_GAP: u64 = 5_000;
/// Enough to show that the checker sees.
const FEW: u64 = 600;

const WHOLE: &str = "no_event_is_lost_and_none_takes_effect_twice_whatever_is_killed";
const TWICE: &str = "a_consumer_without_an_inbox_is_seen_to_apply_events_twice";
const LOST: &str = "a_consumer_that_drops_events_is_seen_to_lose_them";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child", rest @ ..] => child::run(rest).await,
        ["campaign", rest @ ..] => campaign(rest).await,
        ["--list", ..] => list(),
        filters => tests(filters).await,
    }
}

/// A long run, whose figures are what it is for.
async fn campaign(arguments: &[&str]) -> ExitCode {
    let number = |index: usize, default| {
        arguments.get(index).map_or(Ok(default), |text| text.parse::<u64>())
    };
    let (Ok(events), Ok(gap @ 2..)) = (number(0, LONG), number(1, LONG_GAP)) else {
        say("campaign [EVENTS] [EVENTS-FROM-ONE-KILL-TO-THE-NEXT]");
        return ExitCode::FAILURE;
    };
    let Some(servers) = Servers::start().await else { return ExitCode::FAILURE };
    let campaign = Campaign { events, mutation: Mutation::None, gap: Some(gap) };
    let verdict = campaign.run(&servers).await;
    say(&verdict.to_string());
    if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As the usual harness would: names on the command line choose.
async fn tests(filters: &[&str]) -> ExitCode {
    let names: Vec<_> = filters.iter().filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |test: &&str| names.is_empty() || names.iter().any(|name| test.contains(*name));
    let chosen: Vec<&str> = [WHOLE, TWICE, LOST].into_iter().filter(is_chosen).collect();
    let servers = if chosen.is_empty() { None } else { Servers::start().await };
    let Some(servers) = servers else { return ExitCode::SUCCESS };
    let mut failed = 0;
    for test in chosen {
        let (verdict, is_right) = judge(test, &servers).await;
        say(&verdict.to_string());
        say(&format!("test {test} ... {}", if is_right { "ok" } else { "FAILED" }));
        failed += u32::from(!is_right);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does what a test is about; says whether it came out as it must.
async fn judge(test: &str, servers: &Servers) -> (Verdict, bool) {
    let (events, mutation, gap) = match test {
        TWICE => (FEW, Mutation::NoInbox, None),
        LOST => (FEW, Mutation::Deaf, None),
        _ => (SHORT, Mutation::None, Some(SHORT_GAP)),
    };
    let verdict = Campaign { events, mutation, gap }.run(servers).await;
    let is_right = match mutation {
        Mutation::NoInbox => verdict.settled && verdict.lost == 0 && 0 < verdict.twice,
        Mutation::Deaf => {
            let as_many = verdict.lost.unsigned_abs() == FEW.div_ceil(DROPPED);
            verdict.settled && as_many && verdict.twice == 0
        }
        Mutation::None => {
            // Faults that did not happen prove nothing.
            verdict.is_clean() && verdict.faults.are_all_kinds() && 0 < verdict.suppressed
        }
    };
    (verdict, is_right)
}

#[expect(clippy::print_stdout, reason = "a test program speaks")]
fn list() -> ExitCode {
    for test in [WHOLE, TWICE, LOST] {
        println!("{test}: test");
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a test program speaks")]
fn say(text: &str) {
    eprintln!("{text}");
}
