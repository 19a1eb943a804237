//! A payment service that keeps the promises of its contract, in memory.
//!
//! The token says how the card behaves: `tok_ok`, `tok_declined`,
//! `tok_uncapturable`, `tok_poison`.

use async_trait::async_trait;
use futures::stream::Empty;
use tonic::{Request, Response, Status};
use trellis_api::error;
use trellis_api::payment::v1 as pb;
use trellis_api::payment::v1::payment::State;
use trellis_api::payment::v1::payment_service_server::PaymentService;

use super::world::{Call, Payment, World, refused};

#[async_trait]
impl PaymentService for World {
    type AuditPaymentsStream = Empty<Result<pb::AuditPaymentsResponse, Status>>;

    async fn authorize_payment(
        &self,
        request: Request<pb::AuthorizePaymentRequest>,
    ) -> Result<Response<pb::AuthorizePaymentResponse>, Status> {
        let pb::AuthorizePaymentRequest { payment_id, payment_token, .. } = request.into_inner();
        self.answer(Call::Authorize, move |world| {
            if payment_token == "tok_poison" {
                return Err(error::internal());
            }
            let declined = payment_token == "tok_declined";
            let payment = world.payments.entry(payment_id.clone()).or_insert_with(|| Payment {
                state: if declined { State::Declined } else { State::Authorized },
                token: payment_token,
            });
            match payment.state {
                State::Declined => {
                    Err(refused("PAYMENT_DECLINED", &[("decline_code", "generic_decline")]))
                }
                State::Voided => Err(refused("PAYMENT_VOIDED", &[])),
                state => {
                    let payment = Some(payment_of(payment_id, state));
                    Ok(pb::AuthorizePaymentResponse { payment })
                }
            }
        })
        .await
    }

    async fn capture_payment(
        &self,
        request: Request<pb::CapturePaymentRequest>,
    ) -> Result<Response<pb::CapturePaymentResponse>, Status> {
        let id = request.into_inner().payment_id;
        self.answer(Call::Capture, move |world| {
            let payment = world.payments.get_mut(&id).ok_or_else(unknown)?;
            match payment.state {
                State::Authorized if payment.token == "tok_uncapturable" => {
                    return Err(refused("CAPTURE_FAILED", &[]));
                }
                State::Voided | State::Declined => return Err(refused("CAPTURE_FAILED", &[])),
                State::Authorized => {
                    payment.state = State::Captured;
                    world.captures += 1;
                }
                _ => {}
            }
            Ok(pb::CapturePaymentResponse { payment: Some(payment_of(id, payment.state)) })
        })
        .await
    }

    async fn void_payment(
        &self,
        request: Request<pb::VoidPaymentRequest>,
    ) -> Result<Response<pb::VoidPaymentResponse>, Status> {
        let id = request.into_inner().payment_id;
        self.answer(Call::Void, move |world| {
            let tombstone = Payment { state: State::Voided, token: String::new() };
            let payment = world.payments.entry(id.clone()).or_insert(tombstone);
            match payment.state {
                State::Captured | State::Refunded => {
                    return Err(refused("PAYMENT_CAPTURED", &[]));
                }
                State::Authorized => payment.state = State::Voided,
                _ => {}
            }
            Ok(pb::VoidPaymentResponse { payment: Some(payment_of(id, payment.state)) })
        })
        .await
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let id = request.into_inner().payment_id;
        self.answer(Call::Refund, move |world| {
            let payment = world.payments.get_mut(&id).ok_or_else(unknown)?;
            match payment.state {
                State::Captured => {
                    payment.state = State::Refunded;
                    world.refunds += 1;
                }
                State::Refunded => {}
                _ => return Err(refused("PAYMENT_NOT_CAPTURED", &[])),
            }
            Ok(pb::RefundPaymentResponse { payment: Some(payment_of(id, payment.state)) })
        })
        .await
    }

    async fn get_payment(
        &self,
        _: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        Err(not_asked())
    }

    async fn audit_payments(
        &self,
        _: Request<pb::AuditPaymentsRequest>,
    ) -> Result<Response<Self::AuditPaymentsStream>, Status> {
        Err(not_asked())
    }
}

fn payment_of(payment_id: String, state: State) -> pb::Payment {
    pb::Payment { payment_id, state: state.into(), ..Default::default() }
}

fn unknown() -> Status {
    Status::not_found("no such payment")
}

fn not_asked() -> Status {
    Status::unimplemented("the order service never asks this")
}
