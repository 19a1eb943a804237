//! The traces and logs of this process.

use anyhow::Context as _;
use trellis_telemetry::{Settings, Telemetry};

use crate::cli::{Cli, Command};

/// What several services in one process are called together.
const WHOLE_SHOP: &str = "trellis";

/// Sets them up for a command. Only a server exports traces: what a command on the
/// command line does is in those of the servers that it calls.
pub(crate) fn start(cli: &Cli) -> anyhow::Result<Telemetry> {
    let mut settings = Settings::from_environment()?;
    if let Some(log) = &cli.log {
        settings.log = trellis_telemetry::filter(log).context("--log")?;
    }
    let roles = match &cli.command {
        None => &cli.serve.roles[..],
        Some(Command::Serve(serve)) => &serve.roles[..],
        Some(_) => {
            settings.export = None;
            settings.logs = None;
            &[]
        }
    };
    let service = match roles {
        [role] => role.name(),
        _ => WHOLE_SHOP,
    };
    let telemetry = trellis_telemetry::start(service, &settings)?;
    telemetry.log_panics();
    Ok(telemetry)
}
