//! Asks a process whether it is ready.

use std::process::ExitCode;

use bytes::Bytes;
use http::Method;

use super::{admin, say};
use crate::cli::Healthcheck;

pub(super) async fn run(healthcheck: Healthcheck) -> anyhow::Result<ExitCode> {
    let address = healthcheck.process.address;
    let (status, answer) = admin::ask(&address, Method::GET, "/readyz", Bytes::new()).await?;
    say(&answer);
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
