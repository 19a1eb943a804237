//! What the service answers: parse, have the cashier do it, say the answer.

use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use trellis_api::error::{Invalid, Violation, field};
use trellis_api::id::PaymentId;
use trellis_api::payment::v1 as pb;
use trellis_api::payment::v1::payment::State as StateMessage;
use trellis_api::payment::v1::payment_service_server::PaymentService;
use trellis_api::{Money, timestamp};

use crate::audit;
use crate::cashier::Cashier;
use crate::domain::{Intent, Payment, State};
use crate::error::Error;

/// Answers calls.
pub(crate) struct Payments {
    cashier: Cashier,
}

type Parts = Pin<Box<dyn Stream<Item = Result<pb::AuditPaymentsResponse, Status>> + Send>>;

impl Payments {
    pub(crate) fn new(cashier: Cashier) -> Self {
        Self { cashier }
    }
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn authorize_payment(
        &self,
        request: Request<pb::AuthorizePaymentRequest>,
    ) -> Result<Response<pb::AuthorizePaymentResponse>, Status> {
        let intent = Intent::try_from(request.into_inner())?;
        let payment = self.cashier.authorize(intent).await?;
        Ok(Response::new(pb::AuthorizePaymentResponse { payment: Some(payment.into()) }))
    }

    async fn capture_payment(
        &self,
        request: Request<pb::CapturePaymentRequest>,
    ) -> Result<Response<pb::CapturePaymentResponse>, Status> {
        let id = payment_id(&request.get_ref().payment_id)?;
        let payment = self.cashier.capture(id).await?;
        Ok(Response::new(pb::CapturePaymentResponse { payment: Some(payment.into()) }))
    }

    async fn void_payment(
        &self,
        request: Request<pb::VoidPaymentRequest>,
    ) -> Result<Response<pb::VoidPaymentResponse>, Status> {
        let id = payment_id(&request.get_ref().payment_id)?;
        let payment = self.cashier.void(id).await?;
        Ok(Response::new(pb::VoidPaymentResponse { payment: Some(payment.into()) }))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let id = payment_id(&request.get_ref().payment_id)?;
        let payment = self.cashier.refund(id).await?;
        Ok(Response::new(pb::RefundPaymentResponse { payment: Some(payment.into()) }))
    }

    async fn get_payment(
        &self,
        request: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        let id = payment_id(&request.get_ref().payment_id)?;
        let payment = self.cashier.get(id).await?;
        Ok(Response::new(pb::GetPaymentResponse { payment: Some(payment.into()) }))
    }

    type AuditPaymentsStream = Parts;

    async fn audit_payments(
        &self,
        _request: Request<pb::AuditPaymentsRequest>,
    ) -> Result<Response<Parts>, Status> {
        let checks = audit::checks(&self.cashier).await?;
        let first = pb::AuditPaymentsResponse { checks, payments: Vec::new() };
        let rest = pages(self.cashier.clone());
        Ok(Response::new(Box::pin(stream::once(async { Ok(first) }).chain(rest))))
    }
}

/// Every payment, read as fast as the caller takes them.
fn pages(cashier: Cashier) -> impl Stream<Item = Result<pb::AuditPaymentsResponse, Status>> + Send {
    stream::try_unfold((cashier, None), |(cashier, after)| async move {
        let page = cashier.store.page(after, audit::PAGE).await?;
        let Some(last) = page.last().map(|payment| payment.id) else {
            return Ok(None);
        };
        let payments = page.into_iter().map(Into::into).collect();
        let part = pb::AuditPaymentsResponse { checks: Vec::new(), payments };
        Ok(Some((part, (cashier, Some(last)))))
    })
}

fn payment_id(text: &str) -> Result<PaymentId, Error> {
    Ok(field("payment_id", text)?)
}

impl TryFrom<pb::AuthorizePaymentRequest> for Intent {
    type Error = Error;

    fn try_from(request: pb::AuthorizePaymentRequest) -> Result<Self, Error> {
        let id = field("payment_id", &request.payment_id);
        let amount = amount(request.amount);
        let token = field("payment_token", &request.payment_token);
        match (id, amount, token) {
            (Ok(payment), Ok(amount), Ok(token)) => Ok(Self { payment, amount, token }),
            (id, amount, token) => {
                let violations = [id.err(), amount.err(), token.err()];
                let violations: Vec<Violation> = violations.into_iter().flatten().collect();
                Err(Invalid::from(violations).into())
            }
        }
    }
}

fn amount(message: Option<trellis_api::r#type::v1::Money>) -> Result<Money, Violation> {
    let message = message.ok_or_else(|| Violation::new("amount", "must be set"))?;
    let amount = Money::try_from(message)
        .map_err(|error| Violation::new("amount.currency_code", error.to_string()))?;
    if !(1..=Money::MAX_PAYABLE).contains(&amount.minor_units()) {
        let description = format!("must be 1 to {}", Money::MAX_PAYABLE);
        return Err(Violation::new("amount.minor_units", description));
    }
    Ok(amount)
}

impl From<Payment> for pb::Payment {
    fn from(payment: Payment) -> Self {
        let decline_code = match &payment.state {
            State::Declined { code } => code.to_string(),
            _ => String::new(),
        };
        Self {
            payment_id: payment.id.to_string(),
            amount: payment.amount.map(Into::into),
            state: StateMessage::from(&payment.state).into(),
            decline_code,
            create_time: Some(timestamp::to_proto(payment.create_time)),
            update_time: Some(timestamp::to_proto(payment.update_time)),
        }
    }
}

impl From<&State> for StateMessage {
    fn from(state: &State) -> Self {
        match state {
            State::Authorizing { .. } => Self::Authorizing,
            State::Authorized { .. } => Self::Authorized,
            State::Declined { .. } => Self::Declined,
            State::Captured { .. } => Self::Captured,
            State::Voiding { .. } => Self::Voiding,
            State::Voided { .. } => Self::Voided,
            State::Refunded { .. } => Self::Refunded,
        }
    }
}
