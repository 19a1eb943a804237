//! A processor over the network: the `PaymentIntents` subset of Stripe's API.
//!
//! Manual capture: an intent is created and confirmed in one call, which blocks
//! the amount, and captured or cancelled in another. Bodies go as forms, answers
//! come as JSON, and `Idempotency-Key` makes repetitions harmless. What the
//! answers mean is in `http/answer.rs`. Customers who would have to confirm a payment
//! in their bank's app are declined with `authentication_required`.

mod answer;
mod client;
mod form;

use serde::Deserialize;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use uuid::Uuid;

use self::answer::{Answer, Intent, Status};
use self::client::Client;
use self::form::{form, segment};
use super::{Authorization, Capture, Charge, Error, Processor, Refund, Release, Tally, key};
use crate::Settings;
use crate::domain::{Code, Reference};

/// An account at a processor that speaks `PaymentIntents`.
#[derive(Debug)]
pub(super) struct HttpProcessor {
    client: Client,
}

#[derive(Deserialize)]
struct Search {
    data: Vec<Intent>,
}

#[derive(Deserialize)]
struct RefundObject {
    status: String,
    #[serde(default)]
    failure_reason: Option<String>,
}

impl HttpProcessor {
    /// Reads `processor_url` and `processor_key`.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(settings)? })
    }
}

impl HttpProcessor {
    /// Looks for what was made for a payment. The index may lag by up to an hour.
    async fn search(&self, payment: PaymentId) -> Result<Option<Authorization>, Error> {
        let query = form(&[("query", &format!("metadata['payment_id']:'{payment}'"))]);
        let path = format!("/v1/payment_intents/search?{query}");
        match self.client.get::<Search>(&path).await? {
            Answer::Done(Search { data }) => data
                .into_iter()
                .find(|intent| intent.status != Status::Canceled)
                .map(Intent::authorization)
                .transpose(),
            // An API without a search leaves it unknown; it is no decline.
            Answer::Refused(problem) => Err(Error::unknown(problem.code())),
            Answer::Spent => Err(spent()),
        }
    }

    /// Looks at what there is, which is never behind.
    async fn look(&self, reference: &Reference) -> Result<Intent, Error> {
        let path = format!("/v1/payment_intents/{}", segment(reference.as_str()));
        match self.client.get(&path).await? {
            Answer::Done(intent) => Ok(intent),
            Answer::Refused(_) | Answer::Spent => Err(spent()),
        }
    }
}

fn spent() -> Error {
    Error::unknown("the first call with this key failed inside the processor")
}

#[async_trait::async_trait]
impl Processor for HttpProcessor {
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, Error> {
        let body = form(&[
            ("amount", &charge.amount.minor_units().to_string()),
            ("currency", &charge.amount.currency().as_str().to_ascii_lowercase()),
            ("payment_method", charge.token.expose()),
            ("confirm", "true"),
            ("capture_method", "manual"),
            ("metadata[payment_id]", &charge.payment.to_string()),
        ]);
        let key = key(charge.payment, "authorize");
        match self.client.post("/v1/payment_intents", key, body).await? {
            Answer::Done(intent) => Intent::authorization(intent),
            // Whatever is wrong with the card or the call, nothing is blocked.
            Answer::Refused(problem) => Ok(Authorization::Declined(problem.code())),
            Answer::Spent => self.search(charge.payment).await?.ok_or_else(spent),
        }
    }

    async fn capture(
        &self,
        key: Uuid,
        reference: &Reference,
        _amount: Money,
    ) -> Result<Capture, Error> {
        let path = format!("/v1/payment_intents/{}/capture", segment(reference.as_str()));
        match self.client.post::<Intent>(&path, key, String::new()).await? {
            Answer::Done(intent) if intent.status == Status::Succeeded => Ok(Capture::Captured),
            Answer::Done(intent) => Err(intent.unexpected()),
            Answer::Refused(problem) if problem.finds(Status::Succeeded) => Ok(Capture::Captured),
            Answer::Refused(problem) => Ok(Capture::Refused(problem.code())),
            Answer::Spent => match self.look(reference).await?.status {
                Status::Succeeded => Ok(Capture::Captured),
                Status::Canceled => Ok(Capture::Refused(Code::new("canceled"))),
                _ => Err(spent()),
            },
        }
    }

    async fn void(&self, key: Uuid, reference: &Reference) -> Result<Release, Error> {
        let path = format!("/v1/payment_intents/{}/cancel", segment(reference.as_str()));
        match self.client.post::<Intent>(&path, key, String::new()).await? {
            Answer::Done(intent) if intent.status == Status::Canceled => Ok(Release::Released),
            Answer::Done(intent) => Err(intent.unexpected()),
            Answer::Refused(problem) if problem.finds(Status::Canceled) => Ok(Release::Released),
            Answer::Refused(problem) if problem.finds(Status::Succeeded) => Ok(Release::Captured),
            Answer::Refused(problem) => Err(Error::Invalid(problem.code())),
            Answer::Spent => match self.look(reference).await?.status {
                Status::Canceled => Ok(Release::Released),
                Status::Succeeded => Ok(Release::Captured),
                _ => Err(spent()),
            },
        }
    }

    async fn refund(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Refund, Error> {
        let body = form(&[
            ("payment_intent", reference.as_str()),
            ("amount", &amount.minor_units().to_string()),
        ]);
        match self.client.post::<RefundObject>("/v1/refunds", key, body).await? {
            Answer::Done(refund) => match refund.status.as_str() {
                "succeeded" | "pending" => Ok(Refund::Refunded),
                "failed" | "canceled" => {
                    let reason = refund.failure_reason.unwrap_or(refund.status);
                    Ok(Refund::Refused(Code::new(&reason)))
                }
                status => Err(Error::unknown(format_args!("the refund is {status}"))),
            },
            Answer::Refused(problem) if problem.is("charge_already_refunded") => {
                Ok(Refund::Refunded)
            }
            Answer::Refused(problem) => Ok(Refund::Refused(problem.code())),
            Answer::Spent => Err(spent()),
        }
    }

    async fn find(
        &self,
        payment: PaymentId,
        charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, Error> {
        // The search index may lag, and an answer to an old key does not: asked
        // for the same again, the processor gives its first answer.
        if let Some(charge) = charge {
            return self.authorize(charge).await.map(Some);
        }
        self.search(payment).await
    }

    async fn tally(&self, _payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, Error> {
        // Asking for each payment would run into the processor's rate limit;
        // its monthly statement is held against the ledger instead.
        Ok(None)
    }
}
