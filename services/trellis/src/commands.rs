//! What each command does.

mod admin;
mod audit;
mod dlq;
mod events;
mod healthcheck;
mod import;
mod load;
mod migrate;
mod serve;
mod shard;

use std::io::Write as _;
use std::process::ExitCode;

use trellis_telemetry::Telemetry;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::replay;
use crate::telemetry;

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::start(&cli)?;
    let outcome = obey(cli, &telemetry).await;
    telemetry.stop().await;
    outcome
}

async fn obey(cli: Cli, telemetry: &Telemetry) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.config.as_deref())?;
    match cli.command {
        None => serve::run(cli.serve, config, telemetry).await,
        Some(Command::Serve(serve)) => serve::run(serve, config, telemetry).await,
        Some(Command::Import(import)) => import::run(import, &config).await,
        Some(Command::Replay(replay)) => replay::run(replay).await,
        Some(Command::Load(load)) => load::run(load).await,
        Some(Command::Dlq(dlq)) => dlq::run(dlq, &config).await,
        Some(Command::Shard(shard)) => shard::run(shard, &config).await,
        Some(Command::Events(events)) => events::run(events, &config).await,
        Some(Command::Audit(audit)) => audit::run(audit, config).await,
        Some(Command::Migrate) => migrate::run(&config).await,
        Some(Command::Healthcheck(healthcheck)) => healthcheck::run(healthcheck).await,
        Some(Command::Admin(admin)) => admin::run(admin).await,
    }
}

/// Prints a text for people. A closed pipe ends nothing: what was asked for is done.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
