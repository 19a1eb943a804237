//! A payment as a row, the same in every database.

use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_storage::idempotency::Fingerprint;

use crate::domain::{Code, Intent, ParseTokenError, Payment, Reference, State, Trace};

/// What is read of a payment, but for its id.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) state: String,
    pub(super) currency: Option<String>,
    pub(super) minor_units: Option<i64>,
    pub(super) token: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) capture_refusal: Option<String>,
    pub(super) create_time: OffsetDateTime,
    pub(super) update_time: OffsetDateTime,
}

/// The columns that depend on the state.
#[derive(Default)]
pub(super) struct StateColumns<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) decline_code: Option<&'a str>,
    pub(super) capture_refusal: Option<&'a str>,
}

/// A row that nothing here has written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("a payment in state {0:?} lacks what belongs to it")]
    Incomplete(String),
    #[error(transparent)]
    Token(#[from] ParseTokenError),
    #[error(transparent)]
    Currency(#[from] trellis_api::ParseMoneyError),
}

impl Row {
    pub(super) fn payment(self, id: PaymentId) -> Result<Payment, Damage> {
        let amount = match self.currency.as_deref().zip(self.minor_units) {
            Some((currency, minor_units)) => Some(Money::new(currency.parse()?, minor_units)),
            None => None,
        };
        let (create_time, update_time) = (self.create_time, self.update_time);
        Ok(Payment { id, amount, state: self.state()?, create_time, update_time })
    }

    fn state(self) -> Result<State, Damage> {
        let token = self.token.map(|text| text.parse()).transpose()?;
        let reference = self.reference.map(Reference::new);
        let code = |text: Option<String>| text.map(|text| Code::new(&text));
        match (self.state.as_str(), token, reference) {
            ("authorizing", Some(token), _) => Ok(State::Authorizing { token }),
            ("authorized", _, Some(reference)) => {
                Ok(State::Authorized { reference, capture_refusal: code(self.capture_refusal) })
            }
            ("declined", ..) => match code(self.decline_code) {
                Some(code) => Ok(State::Declined { code }),
                None => Err(Damage::Incomplete(self.state)),
            },
            ("captured", _, Some(reference)) => Ok(State::Captured { reference }),
            ("voiding", _, Some(reference)) => {
                Ok(State::Voiding { trace: Trace::Reference(reference) })
            }
            ("voiding", Some(token), None) => Ok(State::Voiding { trace: Trace::Token(token) }),
            ("voided", _, reference) => Ok(State::Voided { reference }),
            ("refunded", _, Some(reference)) => Ok(State::Refunded { reference }),
            _ => Err(Damage::Incomplete(self.state)),
        }
    }
}

impl<'a> From<&'a State> for StateColumns<'a> {
    fn from(state: &'a State) -> Self {
        let none = Self::default();
        match state {
            State::Authorizing { token } | State::Voiding { trace: Trace::Token(token) } => {
                Self { token: Some(token.expose()), ..none }
            }
            State::Authorized { reference, capture_refusal } => Self {
                reference: Some(reference.as_str()),
                capture_refusal: capture_refusal.as_ref().map(Code::as_str),
                ..none
            },
            State::Declined { code } => Self { decline_code: Some(code.as_str()), ..none },
            State::Captured { reference }
            | State::Refunded { reference }
            | State::Voiding { trace: Trace::Reference(reference) } => {
                Self { reference: Some(reference.as_str()), ..none }
            }
            State::Voided { reference } => {
                Self { reference: reference.as_ref().map(Reference::as_str), ..none }
            }
        }
    }
}

/// Whether there is something to find out about a payment that has come so far.
pub(super) fn is_unsettled(state: &State) -> bool {
    matches!(state, State::Authorizing { .. } | State::Voiding { .. })
}

/// Tells a reused id from a repetition, also after the token is erased.
///
/// The id is part of it, so that two payments with one card look unrelated.
pub(super) fn fingerprint(intent: &Intent) -> [u8; 32] {
    let Fingerprint(hash) = Fingerprint::of(&[
        intent.payment.uuid().as_bytes(),
        intent.amount.currency().as_str().as_bytes(),
        &intent.amount.minor_units().to_be_bytes(),
        intent.token.expose().as_bytes(),
    ]);
    hash
}
