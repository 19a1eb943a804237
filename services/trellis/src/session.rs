//! The way into a running shop, for the commands that are its customers or its staff.

mod interrupt;
mod persist;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Response, Status};
use trellis_api::error;
use trellis_api::limits::Bounded as _;
use trellis_api::shop::v1::admin_service_client::AdminServiceClient;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::{Roads, Transport};

use crate::admin_token;
use crate::config::Config;
use crate::edges;
use crate::statistics::Statistics;

pub(crate) use interrupt::finish;
pub use persist::persist;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many callers share one connection.
const CALLERS_PER_CONNECTION: usize = 32;

/// The back office of a running shop.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    client: AdminServiceClient<Transport>,
    token: Credential,
}

/// The public side of a running shop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    client: ShopServiceClient<Transport>,
    patience: Duration,
    statistics: Arc<Statistics>,
}

/// What a caller shows. It is never printed.
#[derive(Clone, Debug)]
pub(crate) struct Credential(MetadataValue<Ascii>);

impl Admin {
    /// It connects at the first call. Needs the admin token.
    pub(crate) fn connect(endpoint: &str, config: &Config) -> anyhow::Result<Self> {
        let client =
            AdminServiceClient::new(Roads::new().remote(&edges::staff(), endpoint)?).bounded();
        let token = admin_token::find(config)?;
        let token = Credential::new(token.expose_secret())
            .context("the admin token has characters that cannot be sent")?;
        Ok(Self { client, token })
    }

    /// A client of its own for each call.
    pub(crate) fn client(&self) -> AdminServiceClient<Transport> {
        self.client.clone()
    }

    /// A request that shows the admin token.
    pub(crate) fn sign<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.token.show(&mut request);
        request
    }
}

impl Shop {
    /// As many ways in as `callers` need; they connect at the first call.
    ///
    /// What fails for a while is repeated for `patience`.
    pub(crate) fn connect(
        endpoint: &str,
        callers: usize,
        patience: Duration,
        statistics: &Arc<Statistics>,
    ) -> anyhow::Result<Vec<Self>> {
        let roads = Roads::new();
        (0..callers.div_ceil(CALLERS_PER_CONNECTION))
            .map(|_| {
                let client =
                    ShopServiceClient::new(roads.remote(&edges::customers(), endpoint)?).bounded();
                Ok(Self { client, patience, statistics: Arc::clone(statistics) })
            })
            .collect()
    }

    /// A client of its own for each call.
    pub(crate) fn client(&self) -> ShopServiceClient<Transport> {
        self.client.clone()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Takes a step to its end, with as many attempts as patience allows. Its time
    /// is what a customer waits, attempts and pauses together; `outcome` names a
    /// good end.
    pub(crate) async fn call<T, F>(
        &self,
        step: &'static str,
        outcome: impl Fn(&T) -> String,
        mut attempt: impl FnMut(ShopServiceClient<Transport>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let start = Instant::now();
        let retried = |status: &Status| self.statistics.retry(label(status));
        let answer = persist(self.patience, retried, || attempt(self.client())).await;
        let answer = answer.map(Response::into_inner);
        let outcome = match &answer {
            Ok(answer) => outcome(answer),
            Err(status) => label(status),
        };
        self.statistics.record(step, start.elapsed(), &outcome);
        answer
    }
}

impl Credential {
    /// None if the token has characters that a header cannot have.
    pub(crate) fn new(token: &str) -> Option<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    fn show<T>(&self, request: &mut Request<T>) {
        request.metadata_mut().insert("authorization", self.0.clone());
    }
}

/// A request with a deadline, from somebody or nobody in particular.
pub(crate) fn request<T>(message: T, credential: Option<&Credential>) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    if let Some(credential) = credential {
        credential.show(&mut request);
    }
    request
}

/// The code and the reason of a status, such as `FAILED_PRECONDITION OUT_OF_STOCK`.
pub(crate) fn label(status: &Status) -> String {
    match error::reason(status) {
        // A few reasons only repeat the code.
        Some(reason) if reason != error::code_name(status.code()) => {
            format!("{} {reason}", error::code_name(status.code()))
        }
        _ => error::code_name(status.code()).to_owned(),
    }
}

/// A status for people, with what they can do about it.
pub(crate) fn explain(status: &Status) -> anyhow::Error {
    let said = anyhow::anyhow!("{}: {}", label(status), status.message());
    match error::reason(status).as_deref() {
        Some("UNSENT" | "CONNECTION_LOST" | "NO_ENDPOINTS") => said.context(
            "nobody answers: is the shop running? start it with `trellis`, or name it with \
             --endpoint",
        ),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_status_is_named_by_its_code_and_reason() {
        let status = |code, reason| error::status(code, reason, "sold out", &[]);

        let declined = status(Code::FailedPrecondition, "OUT_OF_STOCK");
        assert_eq!(label(&declined), "FAILED_PRECONDITION OUT_OF_STOCK");
        assert_eq!(explain(&declined).to_string(), "FAILED_PRECONDITION OUT_OF_STOCK: sold out");
        assert_eq!(label(&status(Code::Internal, "INTERNAL")), "INTERNAL");
        assert_eq!(label(&Status::unknown("no details")), "UNKNOWN");
    }

    #[test]
    fn who_finds_nobody_is_told_to_start_the_shop() {
        let status = error::status(Code::Unavailable, "UNSENT", "lost", &[]);

        assert!(explain(&status).to_string().contains("start it with `trellis`"));
    }

    #[test]
    fn a_credential_is_never_printed() {
        let credential = Credential::new("s3cret").unwrap();

        assert!(!format!("{credential:?}").contains("s3cret"));
        assert!(Credential::new("line\nbreak").is_none());
    }
}
