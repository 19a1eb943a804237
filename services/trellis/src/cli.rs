//! The command line.

mod shard;
mod since;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::Method;

use crate::role::Role;

pub use self::shard::{Buckets, Shard, Sharded, Which};
pub use since::Since;

/// A shop that starts as one process and grows into a fleet.
#[derive(Debug, Parser)]
#[command(
    name = "trellis",
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = concat!("Settings:\n", include_str!("../settings.txt")),
)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `serve` takes.
    #[command(flatten)]
    pub serve: Serve,
    /// A TOML file with settings [default: trellis.toml, if there is one].
    #[arg(long, global = true, env = "TRELLIS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log, such as `debug` or `trellis_order=trace,info` [default: `TRELLIS_LOG`, or
    /// else info].
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer calls, until Ctrl-C. This is what `trellis` does by itself.
    Serve(Serve),
    /// Fill the catalogue from the public "Online Retail" data set.
    Import(Import),
    /// Buy what the invoices of the "Online Retail" data set bought.
    Replay(Replay),
    /// Make a steady synthetic load, and measure it.
    Load(Load),
    /// Look at the events that a consumer has given up on, and try them again.
    #[command(subcommand)]
    Dlq(Dlq),
    /// Look at the databases that share the customers, and move some from one to another.
    #[command(subcommand)]
    Shard(Shard),
    /// See how events get on, and send those again that a broker has lost.
    #[command(subcommand)]
    Events(Events),
    /// Check that the records of all services agree; exits with 1 when they do not.
    Audit(Audit),
    /// Bring every database up to date, and stop.
    Migrate,
    /// Ask a running process whether it is ready; exits with 1 when it is not.
    Healthcheck(Healthcheck),
    /// Look at a running process through its admin port, or command it: breakers, chaos, the log.
    #[command(after_long_help = include_str!("commands/admin.txt"))]
    Admin(Admin),
}

/// Which services to run.
#[derive(Clone, Debug, Default, Args)]
pub struct Serve {
    /// The services to run here; without any, all of them.
    #[arg(value_name = "ROLE")]
    pub roles: Vec<Role>,
}

/// Where the shop is.
#[derive(Clone, Debug, Args)]
pub struct Shop {
    /// The gateway's address.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub endpoint: String,
}

/// Which catalogue to import.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The CSV file, or `-` for standard input; without it, a small one is made up.
    pub csv: Option<PathBuf>,
    /// Units of each product to put on the shelf.
    #[arg(long, default_value_t = 1_000_000, value_name = "UNITS", value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub stock: i64,
    /// Where the shop is.
    #[command(flatten)]
    pub shop: Shop,
}

/// Which purchases to repeat, and how fast.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The CSV file, or `-` for standard input; without it, a small one is made up.
    pub csv: Option<PathBuf>,
    /// Customers who are served at the same time.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,
    /// Invoices a second; without it, as fast as possible.
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Stop after so many invoices.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// How customers pay.
    #[arg(long, value_enum, default_value_t = Cards::Mixed)]
    pub cards: Cards,
    /// Seconds to keep trying while the shop does not answer.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub patience: u64,
    /// Append each final order that was acknowledged to this file, as `order_id STATE`.
    #[arg(long, value_name = "FILE")]
    pub acknowledged: Option<PathBuf>,
    /// Where the shop is.
    #[command(flatten)]
    pub shop: Shop,
}

/// How customers pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cards {
    /// Every card is good.
    Good,
    /// Three in a hundred are declined, or their first answer is lost.
    Mixed,
}

/// Which load to make.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// What callers do.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// Callers at the same time.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub concurrency: u16,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub duration: u64,
    /// Print the result as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the shop is.
    #[command(flatten)]
    pub shop: Shop,
}

/// What callers of a load do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Buy one unit of one product, again and again.
    Checkout,
    /// Look at product pages.
    Product,
}

/// Dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum Dlq {
    /// List them, oldest first.
    List {
        /// Whose: `order` or `recommendation`; without it, everyone's.
        #[arg(long)]
        consumer: Option<String>,
        /// Where the shop is.
        #[command(flatten)]
        shop: Shop,
    },
    /// Hand them to their consumer again.
    Replay {
        /// Whose: `order` or `recommendation`.
        consumer: String,
        /// Which events; without any, all of that consumer.
        event_ids: Vec<String>,
        /// Where the shop is.
        #[command(flatten)]
        shop: Shop,
    },
}

/// Events on their way from the services that tell them.
#[derive(Clone, Debug, Subcommand)]
pub enum Events {
    /// Show what waits to be published, and whether the broker has what it was given.
    ///
    /// Reads the databases, whether or not a shop is running on them, and asks the broker of
    /// `TRELLIS_NATS`, if that is set. Exits with 1 when the broker lacks events.
    Status {
        /// Whose; without any, of all services that tell events.
        services: Vec<Teller>,
    },
    /// Fill a stream again that was lost, from the events that services still keep.
    #[command(after_long_help = include_str!("commands/events/rebuild.txt"))]
    Rebuild {
        /// Whose; without any, of all services that tell events.
        services: Vec<Teller>,
        /// Only events that were published since then: a time, such as 2026-11-22T10:00:00Z,
        /// or how long ago, such as 90s, 15m, 2h or 3d.
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
    },
}

/// A service that tells events and keeps them for a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Teller {
    /// Deleted accounts.
    User,
    /// Orders.
    Order,
}

/// Which records to check.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// Ask a running shop instead of reading its databases.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
}

/// Where the admin port is.
#[derive(Clone, Debug, Args)]
pub struct Process {
    /// The admin address of the process.
    #[arg(long, default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub address: String,
}

/// Which process to ask.
#[derive(Clone, Debug, Args)]
pub struct Healthcheck {
    /// Which process.
    #[command(flatten)]
    pub process: Process,
}

/// What to ask of an admin port, said as curl says it.
#[derive(Clone, Debug, Args)]
pub struct Admin {
    /// What to ask for, such as debug/resilience, debug/log, metrics or readyz.
    pub path: String,
    /// How [default: GET, or POST with --data].
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub request: Option<Method>,
    /// What to send, such as `{"mode": "forced_open"}`.
    #[arg(short, long, value_name = "TEXT")]
    pub data: Option<String>,
    /// Which process.
    #[command(flatten)]
    pub process: Process,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "must be a number from 0.001 to 1000000".to_owned())
}
