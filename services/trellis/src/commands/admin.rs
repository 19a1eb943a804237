//! Asks the admin port of a process, for containers and machines that have no curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::say;
use crate::cli::Admin;

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(admin: Admin) -> anyhow::Result<ExitCode> {
    let Admin { path, request, data, process } = admin;
    let default = if data.is_some() { Method::POST } else { Method::GET };
    let path = format!("/{}", path.trim_start_matches('/'));
    let body = data.unwrap_or_default();
    let (status, answer) =
        ask(&process.address, request.unwrap_or(default), &path, body.into()).await?;
    say(&pretty(&answer).unwrap_or(answer));
    anyhow::ensure!(status.is_success(), "{path} answered {status}");
    Ok(ExitCode::SUCCESS)
}

/// With a line for each value, if it is JSON.
fn pretty(answer: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(answer).ok()?;
    serde_json::to_string_pretty(&answer).ok()
}

/// What the admin port at `address` answers to one request, within two seconds.
pub(super) async fn ask(
    address: &str,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<(StatusCode, String)> {
    let uri: Uri = format!("http://{address}{path}")
        .parse()
        .with_context(|| format!("{address} is not an address such as 127.0.0.1:9464"))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder().method(method).uri(uri).body(Full::new(body))?;
    let ask = async {
        let (head, body) = client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok((head.status, String::from_utf8_lossy(&body).trim().to_owned()))
    };
    tokio::time::timeout(PATIENCE, ask)
        .await
        .with_context(|| format!("{address} did not answer within {PATIENCE:?}"))?
        .with_context(|| format!("nobody answers on {address}"))
}
