//! Leads a payment through its states, with the processor on the other side.
//!
//! The order is always: write down what is wanted, ask the processor, write down
//! its answer. A crash or a lost answer in between leaves a payment that says
//! what to ask again, with the same key. Several may ask for one payment at once:
//! to the processor they are one by the key, and the store takes each answer as a
//! change of what is stored by then, so only the first of them changes anything.

use std::sync::Arc;

use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_chassis::Clock;

use crate::domain::{Change, Code, Intent, Payment, PaymentToken, Refusal, State, Trace};
use crate::error::Error;
use crate::processor::{
    self, Authorization, Capture, Charge, KEY_LIFETIME, Processor, Refund, Release, key,
};
use crate::store::Store;

/// The decline code of an authorization that the processor never heard of and
/// that it is too late to ask for.
const TOO_OLD: &str = "authorization_expired";

/// Takes, lets go of and gives back money.
///
/// Every method may be repeated, and gives the first definite answer. The
/// payment that it returns is as it was asked to be.
#[derive(Clone)]
pub struct Cashier {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) processor: Arc<dyn Processor>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Cashier {
    /// Puts together what it needs.
    pub fn new(
        store: Arc<dyn Store>,
        processor: Arc<dyn Processor>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, processor, clock }
    }

    /// Blocks the amount on the card.
    pub async fn authorize(&self, intent: Intent) -> Result<Payment, Error> {
        let mut payment = self.store.begin(intent, self.clock.now()).await?;
        if let State::Authorizing { token } = &payment.state {
            let answer = self.ask(&payment, token).await?;
            let answer = answer.unwrap_or_else(|| Authorization::Declined(Code::new(TOO_OLD)));
            payment = self.change(payment.id, answer.into()).await?;
        }
        let payment = self.release_if_voiding(payment).await?;
        payment.check_authorized()?;
        Ok(payment)
    }

    /// Takes the amount that is blocked.
    pub async fn capture(&self, id: PaymentId) -> Result<Payment, Error> {
        let mut payment = self.store.get(id).await?;
        if let Some((reference, amount)) = payment.to_capture()? {
            let answer = self.processor.capture(key(id, "capture"), reference, amount).await;
            let change = match answer {
                Ok(Capture::Captured) => Change::Captured(reference.clone()),
                Ok(Capture::Refused(code)) | Err(processor::Error::Invalid(code)) => {
                    Change::CaptureRefused(code)
                }
                Err(unknown) => return Err(Error::OutcomeUnknown(unknown)),
            };
            payment = self.change(id, change).await?;
            payment.to_capture()?;
        }
        Ok(payment)
    }

    /// Lets go of the amount, or makes sure that it will never be blocked.
    pub async fn void(&self, id: PaymentId) -> Result<Payment, Error> {
        let payment = self.store.void(id, self.clock.now()).await?;
        let payment = self.release_if_voiding(payment).await?;
        match payment.state {
            State::Captured { .. } | State::Refunded { .. } => Err(Refusal::Captured.into()),
            _ => Ok(payment),
        }
    }

    /// Gives all of a captured amount back.
    pub async fn refund(&self, id: PaymentId) -> Result<Payment, Error> {
        let payment = self.store.get(id).await?;
        let Some((reference, amount)) = payment.to_refund()? else {
            return Ok(payment);
        };
        match self.processor.refund(key(id, "refund"), reference, amount).await {
            Ok(Refund::Refunded) => self.change(id, Change::Refunded).await,
            Ok(Refund::Refused(code)) | Err(processor::Error::Invalid(code)) => {
                Err(Refusal::RefundRefused { code }.into())
            }
            Err(unknown) => Err(Error::OutcomeUnknown(unknown)),
        }
    }

    /// Returns a payment.
    pub async fn get(&self, id: PaymentId) -> Result<Payment, Error> {
        self.store.get(id).await
    }

    /// Finds out what there is at the processor about a payment that is not
    /// settled, and settles it. Returns whether that was possible.
    pub(crate) async fn settle(&self, id: PaymentId) -> Result<bool, Error> {
        let mut payment = self.store.get(id).await?;
        let charge = match &payment.state {
            State::Authorizing { token } => self.repeatable(&payment, token),
            State::Voided { reference: None } => None,
            State::Voiding { .. } => {
                self.release(payment).await?;
                return Ok(true);
            }
            _ => return Ok(true),
        };
        let found = self.processor.find(id, charge.as_ref()).await;
        let Some(answer) = found.map_err(Error::OutcomeUnknown)? else {
            return Ok(false);
        };
        let heard = matches!(answer, Authorization::Authorized(_));
        if heard && matches!(payment.state, State::Voided { .. }) {
            tracing::warn!(payment = %id, "a voided payment is authorized at the processor");
        }
        payment = self.change(id, answer.into()).await?;
        payment = self.release_if_voiding(payment).await?;
        Ok(!matches!(payment.state, State::Authorizing { .. } | State::Voided { reference: None }))
    }

    async fn release_if_voiding(&self, payment: Payment) -> Result<Payment, Error> {
        match payment.state {
            State::Voiding { .. } => self.release(payment).await,
            _ => Ok(payment),
        }
    }

    /// Has the processor let go of what it may have blocked.
    async fn release(&self, payment: Payment) -> Result<Payment, Error> {
        let id = payment.id;
        let reference = match payment.state {
            State::Voiding { trace: Trace::Reference(ref reference) } => reference.clone(),
            // The first call may still be on its way. Asking for the same with the
            // same key decides what it will find, so nothing can be blocked later.
            State::Voiding { trace: Trace::Token(ref token) } => {
                match self.ask(&payment, token).await? {
                    Some(Authorization::Authorized(reference)) => reference,
                    Some(Authorization::Declined(code)) => {
                        return self.change(id, Change::Declined(code)).await;
                    }
                    None => return self.change(id, Change::Voided(None)).await,
                }
            }
            _ => return Ok(payment),
        };
        let change = match self.processor.void(key(id, "void"), &reference).await {
            Ok(Release::Released) => Change::Voided(Some(reference)),
            Ok(Release::Captured) => Change::Captured(reference),
            Err(error) => return Err(Error::OutcomeUnknown(error)),
        };
        self.change(id, change).await
    }

    /// Asks the processor to block the amount, or what became of that; `None`
    /// when it never heard of it and must not hear of it again.
    async fn ask(
        &self,
        payment: &Payment,
        token: &PaymentToken,
    ) -> Result<Option<Authorization>, Error> {
        let answer = match self.repeatable(payment, token) {
            Some(charge) => match self.processor.authorize(&charge).await {
                Err(processor::Error::Invalid(code)) => Ok(Some(Authorization::Declined(code))),
                answer => answer.map(Some),
            },
            None => self.processor.find(payment.id, None).await,
        };
        answer.map_err(Error::OutcomeUnknown)
    }

    /// What to ask for, as long as the processor takes it for a repetition.
    fn repeatable(&self, payment: &Payment, token: &PaymentToken) -> Option<Charge> {
        let fresh = self.clock.now() < payment.create_time + KEY_LIFETIME;
        let amount: Option<Money> = payment.amount.filter(|_| fresh);
        amount.map(|amount| Charge { payment: payment.id, amount, token: token.clone() })
    }

    async fn change(&self, id: PaymentId, change: Change) -> Result<Payment, Error> {
        self.store.change(id, change, self.clock.now()).await
    }
}

impl From<Authorization> for Change {
    fn from(answer: Authorization) -> Self {
        match answer {
            Authorization::Authorized(reference) => Self::Authorized(reference),
            Authorization::Declined(code) => Self::Declined(code),
        }
    }
}
