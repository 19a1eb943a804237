//! Says whether the records of all services agree.
//!
//! Each service checks its own invariants; what only shows between services is
//! checked here. Orders are read before and after what they should agree with,
//! so a shop at work gives no false alarm: what is under way is left out.

mod facts;
mod rules;

use prost::Message as _;
use time::OffsetDateTime;
use tonic::Status;
use trellis_api::limits;
use trellis_api::shop::v1::AuditResponse;
use trellis_api::r#type::v1::AuditCheck;

use crate::peers::Peers;

pub(crate) use facts::Facts;

/// How much of a violation's detail is told, in bytes.
const MOST_DETAIL: usize = 1_000;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A service did not answer.
    #[error("the {service} service did not answer")]
    Unreachable {
        /// Which one.
        service: &'static str,
        /// What it said instead.
        source: Status,
    },
    /// A record is not what its service promises.
    #[error("a record cannot be read: {0}")]
    Malformed(String),
}

/// Reads every service's records, and returns each invariant with what breaks it.
pub async fn run(peers: &Peers, now: OffsetDateTime) -> Result<Vec<AuditCheck>, Error> {
    let facts = Facts::read(peers, now).await?;
    let mut checks = rules::check(&facts);
    checks.extend(facts.checks);
    Ok(checks)
}

/// As much of a report as fits into a message: of many violations only the first, and
/// never none of those that there are.
pub(crate) fn answer(mut checks: Vec<AuditCheck>) -> AuditResponse {
    for violation in checks.iter_mut().flat_map(|check| &mut check.violations) {
        violation.detail.truncate(violation.detail.floor_char_boundary(MOST_DETAIL));
    }
    let mut most = checks.iter().map(|check| check.violations.len()).max().unwrap_or(0);
    let mut answer = AuditResponse { checks };
    while 1 < most && !limits::list_fits(answer.encoded_len()) {
        most = most.div_ceil(2);
        for check in &mut answer.checks {
            check.violations.truncate(most);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use trellis_api::r#type::v1::AuditViolation;

    use super::*;

    #[test]
    fn a_report_fits_into_a_message_and_hides_no_check_that_failed() {
        let violation =
            AuditViolation { subject: "order_1".to_owned(), detail: "\u{e4}".repeat(50_000) };
        let check = |violations: usize| AuditCheck {
            invariant: "nothing is lost".to_owned(),
            examined: 100_000,
            violations: vec![violation.clone(); violations],
        };

        let answer = answer(vec![check(0), check(1), check(3_000), check(20)]);

        assert!(answer.encoded_len() <= limits::MAX_MESSAGE);
        let told: Vec<_> = answer.checks.iter().map(|check| check.violations.len()).collect();
        assert_eq!((told[0], told[1], told[3]), (0, 1, 20));
        assert!(500 < told[2], "{told:?}");
        assert_eq!(answer.checks[1].violations[0].detail, "\u{e4}".repeat(500));
    }

    #[test]
    fn a_report_that_fits_is_told_whole() {
        let violation = AuditViolation { subject: "order_1".into(), detail: "it is gone".into() };
        let check = AuditCheck { violations: vec![violation; 100], ..AuditCheck::default() };

        assert_eq!(answer(vec![check.clone()]).checks, [check]);
    }
}
