//! What every audit looks for, in whichever database.

use std::time::Duration;

use time::OffsetDateTime;
use trellis_events::outbox::Backlog;

use super::Check;

pub(super) const NONE_STUCK: &str = "no saga is stuck";
pub(super) const FINAL_ENDED: &str = "every final order has an ended saga";
pub(super) const PENDING_AT_WORK: &str = "every pending order has a saga at work";
pub(super) const ONE_ORDER: &str = "no request made two orders";

/// How long after its time a saga may be untouched, and how long an event may be underway.
pub(super) const STUCK: Duration = Duration::from_mins(5);
const UNDELIVERED: Duration = Duration::from_secs(30);

/// More would not make a broken promise any clearer.
pub(super) const MOST_VIOLATIONS: u32 = 100;

pub(super) fn undelivered(backlog: Backlog, now: OffsetDateTime) -> Check {
    let mut violations = Vec::new();
    if let Some(oldest) = backlog.oldest.filter(|oldest| *oldest < now - UNDELIVERED) {
        let detail = format!("{} events wait, the oldest since {oldest}", backlog.count);
        violations.push(("outbox".to_owned(), detail));
    }
    Check {
        invariant: "no event of an order is undelivered",
        examined: i64::try_from(backlog.count).unwrap_or(i64::MAX),
        violations,
    }
}
