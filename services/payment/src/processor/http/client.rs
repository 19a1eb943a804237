//! HTTP with a limit. No deadline and no retries: those who call it see to that.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use trellis_resilience::grpc::classify::kind_of;
use trellis_resilience::outcome::FailureKind;
use uuid::Uuid;

use super::answer::{Answer, read};
use crate::Settings;
use crate::processor::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than servers keep a connection that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer is a few KiB.
const RESPONSE_LIMIT: usize = 256 * 1024;

/// Calls one API with one key.
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let url = settings.processor_url.trim_end_matches('/');
        let uri: Uri = url.parse().with_context(|| format!("processor_url {url:?} is no URL"))?;
        let http = matches!(uri.scheme_str(), Some("http" | "https"));
        ensure!(
            http && uri.authority().is_some() && uri.query().is_none(),
            "processor_url must be like https://api.stripe.com, not {url:?}"
        );
        let key = settings.processor_key.expose_secret();
        ensure!(!key.is_empty(), "processor_key must be set for the http processor");
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| anyhow::anyhow!("processor_key must be printable ASCII"))?;
        authorization.set_sensitive(true);
        Ok(Self { pool: pool()?, base: url.to_owned(), authorization })
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Uuid,
        form: String,
    ) -> Result<Answer<T>, Error> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", key.to_string());
        self.call(request, form.into()).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Error> {
        self.call(self.request(Method::GET, path), Bytes::new()).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.authorization.clone())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Answer<T>, Error> {
        let request = request.body(Full::new(body)).map_err(Error::unknown)?;
        let (head, body) = self.exchange(request).await?;
        read(head.status, &head.headers, &body)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes), Error> {
        let response = self.pool.request(request).await.map_err(unanswered)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, RESPONSE_LIMIT).collect().await.map_err(|error| {
            let is_too_long = error.is::<LengthLimitError>();
            let kind =
                if is_too_long { FailureKind::Protocol } else { FailureKind::ConnectionLost };
            failed(kind, &anyhow::Error::from_boxed(error))
        })?;
        Ok((head, body.to_bytes()))
    }
}

/// Nothing was sent if there was no connection, or it closed before it took the request.
fn unanswered(error: PoolError) -> Error {
    let kind = if error.is_connect() { FailureKind::Unsent } else { kind_of(&error) };
    failed(kind, &error.into())
}

/// Says why with all of its causes: the outermost is only `client error`.
fn failed(kind: FailureKind, error: &anyhow::Error) -> Error {
    Error::failed(kind, format_args!("{error:#}"))
}

fn pool() -> anyhow::Result<Pool<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .context("cannot set up TLS")?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Pool::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

// Without the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}
