//! Asks a process whether it is ready.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::say;
use crate::cli::Healthcheck;

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(healthcheck: Healthcheck) -> anyhow::Result<ExitCode> {
    let address = healthcheck.address;
    let uri = format!("http://{address}/readyz")
        .parse()
        .with_context(|| format!("{address} is not an address such as 127.0.0.1:9464"))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let ask = async {
        let response = client.get(uri).await?;
        let ready = response.status().is_success();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::Ok((ready, String::from_utf8_lossy(&body).trim().to_owned()))
    };
    let (ready, answer) = tokio::time::timeout(PATIENCE, ask)
        .await
        .with_context(|| format!("{address} did not answer within {PATIENCE:?}"))?
        .with_context(|| format!("nobody answers on {address}"))?;
    say(&answer);
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
