//! The participants, and what to make of what they say.

use tonic::{Code, Request, Status};
use trellis_api::error;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::Bounded as _;
use trellis_api::payment::v1::payment_service_client::PaymentServiceClient;
use trellis_chassis::transport::Transport;

use super::{Answer, Refusal, Saga, Step, policy};

/// Those who hold stock and money.
#[derive(Clone)]
pub struct Peers {
    pub(crate) inventory: InventoryServiceClient<Transport>,
    pub(crate) payment: PaymentServiceClient<Transport>,
}

/// An answer that decides nothing: the step must be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For the log; peers put no secrets into their messages.
    pub what: String,
    /// Whether somebody answered something that nobody should, rather than
    /// being away or silent.
    pub is_definite: bool,
}

impl Peers {
    pub fn new(inventory: Transport, payment: Transport) -> Self {
        Self {
            inventory: InventoryServiceClient::new(inventory).bounded(),
            payment: PaymentServiceClient::new(payment).bounded(),
        }
    }

    /// Takes a step. Any step may be taken any number of times.
    pub(crate) async fn perform(&self, step: Step, saga: &Saga) -> Result<Answer, Trouble> {
        let order = &saga.order;
        match step {
            Step::Reserve => super::reserve::reserve(self, order).await,
            Step::Release => super::reserve::release(self, order).await,
            Step::Authorize => super::authorize::authorize(self, saga).await,
            Step::Void => super::authorize::void(self, order).await,
            Step::Commit => super::commit::commit(self, order).await,
            Step::Restock => super::commit::restock(self, order).await,
            Step::Capture => super::capture::capture(self, order).await,
            Step::Refund => super::capture::refund(self, order).await,
        }
    }
}

/// A request that gives up when its step's time is over.
pub(super) fn request<T>(message: T, step: Step) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(policy::deadline(step));
    request
}

/// Reads a refusal that the contract knows; any other error decides nothing.
pub(super) fn refusal(
    status: Status,
    known: impl FnOnce(&str, &Status) -> Option<Refusal>,
) -> Result<Answer, Trouble> {
    if status.code() == Code::FailedPrecondition
        && let Some(reason) = error::reason(&status)
        && let Some(refusal) = known(&reason, &status)
    {
        return Ok(Answer::Refused(refusal));
    }
    Err(status.into())
}

impl Trouble {
    pub(crate) fn unexpected(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_definite: true }
    }

    /// The answer came, but it is not final yet.
    pub(crate) fn unsettled(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_definite: false }
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        let is_definite = !matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Cancelled
                | Code::Unknown
        );
        let reason = error::reason(&status).unwrap_or_default();
        let what = format!("{:?} {reason}: {}", status.code(), status.message());
        if is_definite {
            tracing::warn!(status = what, "a peer gave an answer that its contract does not know");
        }
        Self { what, is_definite }
    }
}

impl From<super::plan::Nonsense> for Trouble {
    fn from(nonsense: super::plan::Nonsense) -> Self {
        Self::unexpected(nonsense.to_string())
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}
