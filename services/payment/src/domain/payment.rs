//! A payment and its life.
//!
//! ```text
//!                      ┌────────────► DECLINED
//! AUTHORIZING ─────────┼─► AUTHORIZED ─► CAPTURED ─► REFUNDED
//!      │               │       │            ▲
//!      └───► VOIDING ◄─┼───────┘            │ (the capture came first)
//!               │      └────────────────────┤
//!               ├───────────────────────────┘
//!               └───► VOIDED ◄── (void of a payment that never came)
//! ```
//!
//! What the processor says is the truth and may be heard late, twice or out of
//! order, so an answer that brings nothing new changes nothing.

use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::PaymentId;

use super::{Code, Entry, PaymentToken, Reference};

/// What a caller wants to be authorized.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Chosen by the caller.
    pub payment: PaymentId,
    /// More than nothing.
    pub amount: Money,
    /// Whom to charge.
    pub token: PaymentToken,
}

/// Money on its way from a card to the shop.
#[derive(Clone, Debug)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// How much; unknown only of a payment whose void came first.
    pub amount: Option<Money>,
    /// How far it has come.
    pub state: State,
    /// When it was first asked for.
    pub create_time: OffsetDateTime,
    /// When its state last changed.
    pub update_time: OffsetDateTime,
}

/// How far a payment has come, with what is needed to go on.
///
/// The token is kept only as long as the processor may have to be asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The processor was asked, and its answer is not known yet.
    Authorizing { token: PaymentToken },
    /// Blocked on the card. A capture that was refused for good stays refused.
    Authorized { reference: Reference, capture_refusal: Option<Code> },
    /// Refused by the processor.
    Declined { code: Code },
    /// Taken.
    Captured { reference: Reference },
    /// To be let go as soon as the processor says what there is.
    Voiding { trace: Trace },
    /// Let go, or never there.
    Voided { reference: Option<Reference> },
    /// Taken and given back.
    Refunded { reference: Reference },
}

/// What leads to an authorization that is to be let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The processor has not said whether there is one.
    Token(PaymentToken),
    /// There is one.
    Reference(Reference),
}

/// What can happen to a payment.
#[derive(Clone, Debug)]
pub enum Change {
    /// The processor has blocked the amount.
    Authorized(Reference),
    /// The processor has refused to.
    Declined(Code),
    /// The caller wants it to be let go.
    Void,
    /// The processor has let go, or there was nothing.
    Voided(Option<Reference>),
    /// The processor has taken the amount.
    Captured(Reference),
    /// The processor will never take it.
    CaptureRefused(Code),
    /// The processor has given it back.
    Refunded,
}

/// Why a payment cannot do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The processor would not block the amount.
    #[error("the payment was declined: {code}")]
    Declined { code: Code },
    /// It was let go, or is about to be.
    #[error("the payment was voided")]
    Voided,
    /// Nothing is blocked that could be taken.
    #[error("the payment is not authorized")]
    NotAuthorized,
    /// The authorization no longer stands.
    #[error("the payment cannot be captured: {code}")]
    CaptureRefused { code: Code },
    /// The money has moved; only a refund brings it back.
    #[error("the payment was captured")]
    Captured,
    /// No money has moved that could be given back.
    #[error("the payment was not captured")]
    NotCaptured,
    /// The processor will not give it back.
    #[error("the payment cannot be refunded: {code}")]
    RefundRefused { code: Code },
    /// The processor took money for a payment whose amount nobody knows.
    #[error("the processor captured a payment that was never asked for")]
    Contradiction,
}

impl Payment {
    /// A payment that the processor is about to be asked for.
    pub fn begun(intent: Intent, now: OffsetDateTime) -> Self {
        let Intent { payment, amount, token } = intent;
        let state = State::Authorizing { token };
        Self { id: payment, amount: Some(amount), state, create_time: now, update_time: now }
    }

    /// What a void leaves of a payment that never came, so that one still on
    /// its way is refused.
    pub fn tombstone(id: PaymentId, now: OffsetDateTime) -> Self {
        let state = State::Voided { reference: None };
        Self { id, amount: None, state, create_time: now, update_time: now }
    }

    /// Returns the payment in the state that follows, and what to write into
    /// the ledger; `None` when the change brings nothing new.
    pub fn apply(
        &self,
        change: Change,
        now: OffsetDateTime,
    ) -> Result<Option<(Self, Option<Entry>)>, Refusal> {
        let before = self.state.clone();
        let post: Option<fn(PaymentId, Money) -> Entry> = match change {
            Change::Captured(_) => Some(Entry::capture),
            Change::Refunded => Some(Entry::refund),
            _ => None,
        };
        let state = match change {
            Change::Authorized(reference) => before.authorized(reference),
            Change::Declined(code) => before.declined(code),
            Change::Void => before.void()?,
            Change::Voided(reference) => before.voided(reference),
            Change::Captured(reference) => before.captured(reference)?,
            Change::CaptureRefused(code) => before.capture_refused(code),
            Change::Refunded => before.refunded()?,
        };
        if state == self.state {
            return Ok(None);
        }
        let entry = match post {
            Some(post) => Some(post(self.id, self.amount.ok_or(Refusal::Contradiction)?)),
            None => None,
        };
        Ok(Some((Self { state, update_time: now, ..*self }, entry)))
    }

    /// What is to be taken; `None` when it has been.
    pub fn to_capture(&self) -> Result<Option<(&Reference, Money)>, Refusal> {
        match (&self.state, self.amount) {
            (State::Authorized { reference, capture_refusal: None }, Some(amount)) => {
                Ok(Some((reference, amount)))
            }
            (State::Authorized { capture_refusal: Some(code), .. }, _) => {
                Err(Refusal::CaptureRefused { code: code.clone() })
            }
            (State::Captured { .. } | State::Refunded { .. }, _) => Ok(None),
            (State::Declined { code }, _) => Err(Refusal::Declined { code: code.clone() }),
            (State::Voiding { .. } | State::Voided { .. }, _) => Err(Refusal::Voided),
            (State::Authorizing { .. } | State::Authorized { .. }, _) => {
                Err(Refusal::NotAuthorized)
            }
        }
    }

    /// What is to be given back; `None` when it has been.
    pub fn to_refund(&self) -> Result<Option<(&Reference, Money)>, Refusal> {
        match (&self.state, self.amount) {
            (State::Captured { reference }, Some(amount)) => Ok(Some((reference, amount))),
            (State::Refunded { .. }, _) => Ok(None),
            _ => Err(Refusal::NotCaptured),
        }
    }

    /// Whether the amount was blocked on the card, as far as a caller may rely on it.
    pub fn check_authorized(&self) -> Result<(), Refusal> {
        match &self.state {
            State::Authorized { .. } | State::Captured { .. } | State::Refunded { .. } => Ok(()),
            State::Declined { code } => Err(Refusal::Declined { code: code.clone() }),
            State::Voiding { .. } | State::Voided { .. } => Err(Refusal::Voided),
            State::Authorizing { .. } => Err(Refusal::NotAuthorized),
        }
    }
}

impl State {
    /// Its name in the store.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authorizing { .. } => "authorizing",
            Self::Authorized { .. } => "authorized",
            Self::Declined { .. } => "declined",
            Self::Captured { .. } => "captured",
            Self::Voiding { .. } => "voiding",
            Self::Voided { .. } => "voided",
            Self::Refunded { .. } => "refunded",
        }
    }

    fn authorized(self, reference: Reference) -> Self {
        match self {
            Self::Authorizing { .. } => Self::Authorized { reference, capture_refusal: None },
            Self::Voiding { trace: Trace::Token(_) } => {
                Self::Voiding { trace: Trace::Reference(reference) }
            }
            // An authorization that nobody knew of when the payment was voided.
            Self::Voided { reference: known } if known.as_ref() != Some(&reference) => {
                Self::Voiding { trace: Trace::Reference(reference) }
            }
            state => state,
        }
    }

    fn declined(self, code: Code) -> Self {
        match self {
            Self::Authorizing { .. } | Self::Voiding { trace: Trace::Token(_) } => {
                Self::Declined { code }
            }
            state => state,
        }
    }

    fn void(self) -> Result<Self, Refusal> {
        match self {
            Self::Authorizing { token } => Ok(Self::Voiding { trace: Trace::Token(token) }),
            Self::Authorized { reference, .. } => {
                Ok(Self::Voiding { trace: Trace::Reference(reference) })
            }
            Self::Captured { .. } | Self::Refunded { .. } => Err(Refusal::Captured),
            state => Ok(state),
        }
    }

    fn voided(self, reference: Option<Reference>) -> Self {
        match self {
            Self::Voiding { .. } => Self::Voided { reference },
            state => state,
        }
    }

    fn captured(self, reference: Reference) -> Result<Self, Refusal> {
        match self {
            Self::Authorized { .. } | Self::Voiding { .. } => Ok(Self::Captured { reference }),
            Self::Authorizing { .. } => Err(Refusal::NotAuthorized),
            Self::Declined { code } => Err(Refusal::Declined { code }),
            Self::Voided { .. } => Err(Refusal::Voided),
            state => Ok(state),
        }
    }

    fn capture_refused(self, code: Code) -> Self {
        match self {
            Self::Authorized { reference, capture_refusal: None } => {
                Self::Authorized { reference, capture_refusal: Some(code) }
            }
            state => state,
        }
    }

    fn refunded(self) -> Result<Self, Refusal> {
        match self {
            Self::Captured { reference } => Ok(Self::Refunded { reference }),
            Self::Refunded { .. } => Ok(self),
            _ => Err(Refusal::NotCaptured),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;
    use trellis_api::id::Bucket;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    fn begun() -> Payment {
        let payment = PaymentId::new(NOW, Bucket::new(7).unwrap());
        let amount = Money::new("GBP".parse().unwrap(), 1_250);
        Payment::begun(Intent { payment, amount, token: "tok_ok".parse().unwrap() }, NOW)
    }

    fn reference() -> Reference {
        Reference::new("pi_1")
    }

    fn after(mut payment: Payment, changes: impl IntoIterator<Item = Change>) -> Payment {
        for change in changes {
            if let Some((next, _)) = payment.apply(change, NOW).unwrap() {
                payment = next;
            }
        }
        payment
    }

    #[test]
    fn an_answer_that_comes_after_the_void_is_voided_too() {
        let voiding = after(begun(), [Change::Void, Change::Authorized(reference())]);
        assert_eq!(voiding.state, State::Voiding { trace: Trace::Reference(reference()) });

        let voided = after(Payment::tombstone(begun().id, NOW), [Change::Authorized(reference())]);
        assert_eq!(voided.state, State::Voiding { trace: Trace::Reference(reference()) });
    }

    #[test]
    fn what_was_voided_stays_voided_when_its_authorization_is_heard_of_again() {
        let voided = after(begun(), [Change::Void, Change::Voided(Some(reference()))]);

        let again = voided.apply(Change::Authorized(reference()), NOW).unwrap();

        assert!(again.is_none());
    }

    #[test]
    fn captured_money_cannot_be_voided() {
        let captured =
            after(begun(), [Change::Authorized(reference()), Change::Captured(reference())]);

        assert_eq!(captured.apply(Change::Void, NOW).unwrap_err(), Refusal::Captured);
    }

    #[test]
    fn a_capture_that_beat_the_void_is_recorded() {
        let voiding = after(begun(), [Change::Authorized(reference()), Change::Void]);

        let (captured, entry) = voiding.apply(Change::Captured(reference()), NOW).unwrap().unwrap();

        assert_eq!(captured.state, State::Captured { reference: reference() });
        assert!(entry.is_some());
    }

    #[test]
    fn nothing_can_be_captured_before_it_is_authorized_or_after_it_is_voided() {
        let authorizing = begun();
        assert_eq!(authorizing.to_capture().unwrap_err(), Refusal::NotAuthorized);

        let voiding = after(begun(), [Change::Authorized(reference()), Change::Void]);
        assert_eq!(voiding.to_capture().unwrap_err(), Refusal::Voided);
    }

    #[test]
    fn a_refused_capture_stays_refused_and_can_be_voided() {
        let code = Code::new("expired");
        let changes = [Change::Authorized(reference()), Change::CaptureRefused(code.clone())];
        let refused = after(begun(), changes);

        assert_eq!(refused.to_capture().unwrap_err(), Refusal::CaptureRefused { code });
        let voiding = after(refused, [Change::Void]);
        assert_eq!(voiding.state.name(), "voiding");
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::Authorized(reference())),
            Just(Change::Declined(Code::new("card_declined"))),
            Just(Change::Void),
            Just(Change::Voided(Some(reference()))),
            Just(Change::Captured(reference())),
            Just(Change::CaptureRefused(Code::new("expired"))),
            Just(Change::Refunded),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_money_moves_at_most_once_each_way(
            changes in prop::collection::vec(any_change(), 0..24)
        ) {
            let mut payment = begun();
            let mut entries = Vec::new();
            for change in changes {
                if let Ok(Some((next, entry))) = payment.apply(change, NOW) {
                    payment = next;
                    entries.extend(entry);
                }
            }

            for entry in &entries {
                let [debit, credit] = entry.postings;
                prop_assert_eq!(debit.amount.checked_add(credit.amount).unwrap().minor_units(), 0);
            }
            let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
            let expected: &[&str] = match payment.state {
                State::Captured { .. } => &["capture"],
                State::Refunded { .. } => &["capture", "refund"],
                _ => &[],
            };
            prop_assert_eq!(kinds, expected);
        }
    }
}
