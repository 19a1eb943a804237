//! Double entry: money never appears, it moves from one account to another.
//!
//! A posting's amount is signed: a debit is positive, a credit is negative, and
//! the postings of an entry sum to zero. Entries are only ever added.

use std::str::FromStr;

use trellis_api::Money;
use trellis_api::id::PaymentId;

/// The chart of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// What the processor has taken for the shop and not yet paid out.
    ProcessorReceivable,
    /// What was sold.
    SalesRevenue,
    /// What was given back; kept apart from sales, so that both stay visible.
    Refunds,
}

/// Why money moved. A payment has at most one entry of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// It was taken from the customer.
    Capture,
    /// It was given back.
    Refund,
}

/// One movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub payment: PaymentId,
    /// Why.
    pub kind: EntryKind,
    /// From where to where; sums to zero.
    pub postings: [Posting; 2],
}

/// What an entry does to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which one.
    pub account: Account,
    /// Positive for a debit, negative for a credit.
    pub amount: Money,
}

/// A text that names no kind of entry.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a kind of ledger entry")]
pub struct ParseEntryKindError(String);

impl Entry {
    /// The money of a sale comes in.
    pub(super) fn capture(payment: PaymentId, amount: Money) -> Self {
        Self::new(
            payment,
            EntryKind::Capture,
            Account::ProcessorReceivable,
            Account::SalesRevenue,
            amount,
        )
    }

    /// It goes back.
    pub(super) fn refund(payment: PaymentId, amount: Money) -> Self {
        Self::new(
            payment,
            EntryKind::Refund,
            Account::Refunds,
            Account::ProcessorReceivable,
            amount,
        )
    }

    fn new(
        payment: PaymentId,
        kind: EntryKind,
        debit: Account,
        credit: Account,
        amount: Money,
    ) -> Self {
        let credited = Money::new(amount.currency(), -amount.minor_units());
        let postings =
            [Posting { account: debit, amount }, Posting { account: credit, amount: credited }];
        Self { payment, kind, postings }
    }
}

impl Account {
    /// Its name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcessorReceivable => "processor_receivable",
            Self::SalesRevenue => "sales_revenue",
            Self::Refunds => "refunds",
        }
    }
}

impl EntryKind {
    /// Its name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

impl FromStr for EntryKind {
    type Err = ParseEntryKindError;

    fn from_str(text: &str) -> Result<Self, ParseEntryKindError> {
        [Self::Capture, Self::Refund]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseEntryKindError(text.to_owned()))
    }
}
