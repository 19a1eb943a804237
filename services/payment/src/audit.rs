//! Checks that the money is right.
//!
//! The store's sums come from one snapshot. What the processor counted is asked
//! for afterwards, so it may know of more than the snapshot, never of less.

use std::collections::HashMap;

use trellis_api::id::PaymentId;
use trellis_api::r#type::v1 as pb;

use crate::cashier::Cashier;
use crate::domain::{Payment, State};
use crate::error::Error;
use crate::processor::Tally;
use crate::store::{Books, Sums};

/// How many payments are read at once.
pub(crate) const PAGE: u32 = 500;
/// More violations of one kind say nothing new.
const MOST: usize = 100;

/// Looks for violations of each invariant.
pub(crate) async fn checks(cashier: &Cashier) -> Result<Vec<pb::AuditCheck>, Error> {
    let books = cashier.store.books().await?;
    let (captures, unknown) = processor_checks(cashier, &books).await?;
    Ok(vec![captures, balance(&books), conservation(&books), recorded(&books, unknown)])
}

/// Holds the processor's own count against each payment.
async fn processor_checks(
    cashier: &Cashier,
    books: &Books,
) -> Result<(pb::AuditCheck, Vec<pb::AuditViolation>), Error> {
    let twice = books.repeated.iter().map(|(payment, kind, times)| {
        violation(payment, format!("the ledger has {times} entries of kind {}", kind.as_str()))
    });
    let mut captures = check("no payment is captured twice", books.payments, twice.collect());
    let mut unknown = Vec::new();
    let mut after = None;
    loop {
        let page = cashier.store.page(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let ids: Vec<PaymentId> = page.iter().map(|payment| payment.id).collect();
        let tally = cashier.processor.tally(&ids).await.map_err(Error::OutcomeUnknown)?;
        let Some(tally) = tally else { break };
        let tally: HashMap<PaymentId, Tally> =
            tally.into_iter().map(|tally| (tally.payment, tally)).collect();
        for payment in &page {
            compare(payment, tally.get(&payment.id), &mut captures.violations, &mut unknown);
        }
    }
    captures.violations.truncate(MOST);
    Ok((captures, unknown))
}

fn compare(
    payment: &Payment,
    tally: Option<&Tally>,
    twice: &mut Vec<pb::AuditViolation>,
    unknown: &mut Vec<pb::AuditViolation>,
) {
    let (authorizations, captures, refunds) =
        tally.map_or((0, 0, 0), |tally| (tally.authorizations, tally.captures, tally.refunds));
    if 1 < authorizations || 1 < captures || 1 < refunds {
        let detail = format!(
            "the processor counts {authorizations} authorizations, {captures} captures, \
             {refunds} refunds"
        );
        twice.push(violation(&payment.id, detail));
    }
    // A payment on its way may be ahead at the processor, others may not.
    let expected = match payment.state {
        State::Captured { .. } | State::Refunded { .. } => 1,
        State::Declined { .. } | State::Voided { .. } => 0,
        State::Authorizing { .. } | State::Authorized { .. } | State::Voiding { .. } => return,
    };
    if captures.min(1) != expected {
        let state = payment.state.name();
        let detail = format!("the payment is {state}, the processor counts {captures} captures");
        unknown.push(violation(&payment.id, detail));
    }
}

fn balance(books: &Books) -> pb::AuditCheck {
    let entries = books.unbalanced.iter().map(|(payment, kind, sum)| {
        violation(payment, format!("the {} sums to {sum}", kind.as_str()))
    });
    let totals = books
        .sums
        .iter()
        .filter(|sums| sums.balance != 0)
        .map(|sums| violation(&sums.currency, format!("all postings sum to {}", sums.balance)));
    check("the ledger balances", books.entries, entries.chain(totals).collect())
}

fn conservation(books: &Books) -> pb::AuditCheck {
    let violations = books.sums.iter().flat_map(lost).collect();
    let examined = i64::try_from(books.sums.len()).unwrap_or(i64::MAX);
    check("money is conserved", examined, violations)
}

fn lost(sums: &Sums) -> Vec<pb::AuditViolation> {
    let Sums { currency, authorized, pending, voided, kept, captured, refunded, .. } = *sums;
    let mut violations = Vec::new();
    if authorized != captured + voided + pending {
        violations.push(violation(
            &currency,
            format!(
                "authorized {authorized} is not captured {captured} + voided {voided} + \
                 pending {pending}"
            ),
        ));
    }
    if captured != refunded + kept {
        violations.push(violation(
            &currency,
            format!("captured {captured} is not refunded {refunded} + kept {kept}"),
        ));
    }
    violations
}

fn recorded(books: &Books, mut violations: Vec<pb::AuditViolation>) -> pb::AuditCheck {
    violations.extend(
        books.unrecorded.iter().map(|payment| {
            violation(payment, "its state and its ledger entries disagree".to_owned())
        }),
    );
    violations.truncate(MOST);
    check("every captured payment stands in the ledger", books.captured, violations)
}

fn check(invariant: &str, examined: i64, violations: Vec<pb::AuditViolation>) -> pb::AuditCheck {
    pb::AuditCheck { invariant: invariant.to_owned(), examined, violations }
}

fn violation(subject: &impl ToString, detail: String) -> pb::AuditViolation {
    pb::AuditViolation { subject: subject.to_string(), detail }
}
